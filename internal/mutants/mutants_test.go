package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/mutants/score"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// TestMutantsApplyAndCompile: a change of an adapter cannot leave a mutant behind that is not one
// any more.
func TestMutantsApplyAndCompile(t *testing.T) {
	for _, a := range adapters {
		t.Run(a.name, func(t *testing.T) {
			dir := filepath.Join(root, filepath.FromSlash(a.dir))
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("not a checkout of the repository: %v", err)
			}
			mutants, err := a.mutants(root)
			require.NoError(t, err)
			c, err := newChecker(t.Context(), dir)
			require.NoError(t, err)
			require.NoError(t, c.check(nil), "without a mutant")
			for _, m := range mutants {
				changed, err := m.apply(c.read)
				if assert.NoError(t, err, "the mutant %s/testdata/mutants/%s.txt", a.dir, m.name) {
					assert.NoError(t, c.check(changed), "the mutant %s/testdata/mutants/%s.txt does not compile", a.dir, m.name)
				}
			}
		})
	}
}

// TestMutantsNameCasesOfTheSuite: a case that was renamed catches nothing.
func TestMutantsNameCasesOfTheSuite(t *testing.T) {
	known := map[string]bool{}
	for _, c := range eventtest.Cases() {
		known[c.Name] = true
	}
	for _, control := range controls {
		assert.True(t, known[control], "the suite has no case %s", control)
	}
	for _, a := range adapters {
		mutants, err := a.mutants(root)
		require.NoError(t, err)
		for _, m := range mutants {
			for _, c := range m.catches {
				assert.True(t, known[c.name], "the suite has no case %s, which is to catch the mutant %s of %s", c.name, m.name, a.name)
			}
		}
	}
}

// TestEveryMutantWasRunAndCaught: the committed scores are of the mutants as they are.
func TestEveryMutantWasRunAndCaught(t *testing.T) {
	for _, a := range adapters {
		mutants, err := a.mutants(root)
		require.NoError(t, err)
		if len(mutants) == 0 {
			continue
		}
		s, err := score.Read(filepath.Join(root, "docs", "conformance", "mutants", a.name+".json"))
		require.NoError(t, err)
		var names []string
		for _, m := range s.Mutants {
			names = append(names, m.Name)
		}
		require.Equal(t, namesOf(mutants), names, "docs/conformance/mutants/%s.json is of other mutants: run make mutants-brokers", a.name)
		for i, m := range mutants {
			got, want := s.Mutants[i], score.Mutant{Name: m.name, What: m.what, Kind: m.kind, Reason: m.reason}
			for _, c := range m.catches {
				want.Cases = append(want.Cases, c.name)
			}
			assert.Equal(t, got.Runs, got.Caught, "%s: the suite did not catch it in every run", m.name)
			want.Runs, want.Caught = got.Runs, got.Caught
			assert.Equal(t, want, got, "the score of another mutant: run make mutants-brokers MUTANTS='^%s$'", m.name)
		}
	}
}

const example = `# a comment
what: it loses everything
kind: loss
caught by: nil-means-stored
seen: is (gone|lost)

--- a.go
	keep()
	return 1
--- becomes
	return 2
--- end
--- b.go
	go away()
--- becomes
--- end
`

func exampleFiles(name string) ([]byte, error) {
	files := map[string]string{"a.go": "f() {\n\tkeep()\n\treturn 1\n}\n", "b.go": "\tgo away()\n"}
	text, ok := files[name]
	if !ok {
		return nil, os.ErrNotExist
	}
	return []byte(text), nil
}

func TestParseAndApply(t *testing.T) {
	m, err := parse("loss.txt", example)
	require.NoError(t, err)
	assert.Equal(t, "loss", m.name)
	assert.Equal(t, "it loses everything", m.what)
	changed, err := m.apply(exampleFiles)
	require.NoError(t, err)
	assert.Equal(t, map[string][]byte{"a.go": []byte("f() {\n\treturn 2\n}\n"), "b.go": {}}, changed)
}

func TestAMutantAppliesOnlyWhereItsLinesAreThereOnce(t *testing.T) {
	m, err := parse("loss.txt", example)
	require.NoError(t, err)
	for _, text := range []string{"", "\tkeep()\n\treturn 10\n", "\tkeep()\n\treturn 1\n\tkeep()\n\treturn 1\n", "\t\tkeep()\n\treturn 1\n"} {
		_, err := m.apply(func(string) ([]byte, error) { return []byte(text), nil })
		assert.ErrorContains(t, err, "adapt the mutant", "%q", text)
	}
	m.edits[0].file = "gone.go"
	_, err = m.apply(exampleFiles)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestMutantsThatAreNotWholeAreRefused(t *testing.T) {
	const block = "--- a.go\nx\n--- becomes\ny\n--- end\n"
	for text, want := range map[string]string{
		"":                           "is missing",
		"what: x\n":                  "is missing",
		"color: red\n":               "no key",
		"what:\n":                    "no value",
		"seen: x\n":                  "follows no",
		"what: x\nkind: y\n":         "changes nothing",
		"what: x\nkind: y\n" + block: "either cases catch it",
		"what: x\nkind: y\ncaught by: z\n" + block:                                      "say with \"seen\"",
		"what: x\nkind: y\ncaught by: z\nseen: (\n" + block:                             "missing closing",
		"what: x\nkind: y\ncaught by: z\nseen: w\ncannot be caught: v\n" + block:        "either cases catch it",
		"what: x\nkind: y\ncannot be caught: v\n--- a.go\nx\n--- becomes\ny\n":          "no line",
		"what: x\nkind: y\ncannot be caught: v\n--- a.go\nx\n--- end\n":                 "no lines to replace",
		"what: x\nkind: y\ncannot be caught: v\n--- a.go\nx\n--- becomes\nx\n--- end\n": "with the same",
	} {
		_, err := parse("m.txt", text)
		assert.ErrorContains(t, err, want, "%q", text)
	}
}

// TestVerdict: a mutant is caught when its cases fail for their rule and something else still
// works.
func TestVerdict(t *testing.T) {
	m, err := parse("loss.txt", example)
	require.NoError(t, err)
	assert.Equal(t, []string{"nil-means-stored", "byte-for-byte", "ack-ends", "whole-once-in-peace"}, m.cases())
	right := []eventtest.Result{
		{Case: "nil-means-stored", Status: eventtest.Failed, Seen: []string{"event 1 is lost"}},
		{Case: "byte-for-byte", Status: eventtest.Failed},
		{Case: "ack-ends", Status: eventtest.Passed},
	}
	assert.Empty(t, m.judge(&eventtest.Report{Results: right}))
	for want, change := range map[string]func(r []eventtest.Result){
		"passed":                  func(r []eventtest.Result) { r[0].Status = eventtest.Passed },
		"skipped":                 func(r []eventtest.Result) { r[0].Status = eventtest.Skipped },
		"was not run":             func(r []eventtest.Result) { r[0].Case = "another" },
		"for another reason":      func(r []eventtest.Result) { r[0].Seen = []string{"a panic"} },
		"breaks everything":       func(r []eventtest.Result) { r[2].Status = eventtest.Failed },
		"the mutant breaks every": func(r []eventtest.Result) { r[2].Status = eventtest.Skipped },
	} {
		wrong := slices.Clone(right)
		change(wrong)
		why := m.judge(&eventtest.Report{Results: wrong})
		require.Len(t, why, 1)
		assert.Contains(t, why[0], want)
	}
}

// TestTheCheckerNoticesWhatDoesNotCompile: with it a mutant that is no Go would pass for one.
func TestTheCheckerNoticesWhatDoesNotCompile(t *testing.T) {
	dir := filepath.Join(root, "internal", "mutants", "score")
	c, err := newChecker(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, c.check(nil))
	for text, want := range map[string]string{
		"package":                                       "expected",
		"package score\n\nimport \"os\"\n":              "imported and not used",
		"package score\n\nfunc f() { x := 1 }\n":        "declared and not used",
		"package score\n\nfunc f() int { return \"\" }": "cannot use",
	} {
		assert.ErrorContains(t, c.check(map[string][]byte{"score.go": []byte(text)}), want)
	}
}
