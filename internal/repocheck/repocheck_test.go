// Package repocheck tests promises about the repository itself: what an importer inherits, that the
// root package stays small, that tests do not sleep, that the README shows a program that runs, and
// that no file names a path of one machine.
package repocheck

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const rootModule = "github.com/leatgo/leat"

// TestImporterInheritsOnlyTestify makes a program that imports every public package of the root
// module, and lists the modules that it then depends on.
func TestImporterInheritsOnlyTestify(t *testing.T) {
	t.Parallel()
	root := repoRoot(t)
	packages := strings.Fields(goCommand(t, root, "list", "-f", `{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, "./..."))
	packages = slices.DeleteFunc(packages, func(p string) bool { return strings.Contains(p, "/internal/") })
	if !slices.Contains(packages, rootModule) {
		t.Fatalf("no root package among %q", packages)
	}

	allowed := map[string]bool{"example.com/importer": true, rootModule: true, "github.com/stretchr/testify": true}
	testify := strings.TrimSpace(goCommand(t, root, "list", "-m", "-f", "{{.GoMod}}", "github.com/stretchr/testify"))
	for _, m := range requirements(t, root, testify) {
		allowed[m] = true
	}

	for _, m := range requirements(t, root, filepath.Join(root, "go.mod")) {
		if !allowed[m] {
			t.Errorf("the root go.mod requires %s; only testify, for tests, is allowed there", m)
		}
	}

	dir := t.TempDir()
	var program strings.Builder
	program.WriteString("package main\n\nimport (\n")
	for _, p := range packages {
		fmt.Fprintf(&program, "\t_ %q\n", p)
	}
	program.WriteString(")\n\nfunc main() {}\n")
	write(t, filepath.Join(dir, "main.go"), program.String())
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf("module example.com/importer\n\ngo 1.26\n\nrequire %s v0.0.0\n\nreplace %s => %q\n",
		rootModule, rootModule, filepath.ToSlash(root)))
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), string(sums))
	goCommand(t, dir, "build", "-mod=mod", "-o", os.DevNull, ".")

	for m := range strings.FieldsSeq(goCommand(t, dir, "list", "-mod=mod", "-m", "-f", "{{.Path}}", "all")) {
		if !allowed[m] {
			t.Errorf("a program that imports %s inherits the module %s", strings.Join(packages, ", "), m)
		}
	}
}

// TestNoTestSleeps allows time.Sleep in a test file only where testing/synctest makes time fake, or
// with a reason on the line.
func TestNoTestSleeps(t *testing.T) {
	t.Parallel()
	for path, text := range files(t, "*_test.go") {
		if bytes.Contains(text, []byte(`"testing/synctest"`)) || strings.HasPrefix(path, "internal/repocheck/") {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			code, reason, _ := strings.Cut(line, "//")
			if strings.Contains(code, "time.Sleep(") && strings.TrimSpace(reason) == "" {
				t.Errorf("%s:%d sleeps: wait for the state, use testing/synctest, or give the reason on the line", path, i+1)
			}
		}
	}
}

// TestNoMachinePaths finds paths that exist on one machine only.
func TestNoMachinePaths(t *testing.T) {
	t.Parallel()
	machine := regexp.MustCompile(`(^|[\s"'=(:])/(tmp|root|work|home|Users)/[A-Za-z]`)
	for path, text := range files(t) {
		if strings.HasSuffix(path, ".sum") || strings.Contains(path, "testdata/") {
			continue
		}
		for i, line := range strings.Split(string(text), "\n") {
			if machine.MatchString(line) {
				t.Errorf("%s:%d names a path of one machine: %s", path, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// TestCommentsFit holds lines of prose in comments to 100 columns, with tabs of four. Lists, code
// and the output of examples are free.
func TestCommentsFit(t *testing.T) {
	t.Parallel()
	prose := regexp.MustCompile(`^\t*// [^ \t-]`)
	for path, text := range files(t, "*.go") {
		output := false
		for i, line := range strings.Split(string(text), "\n") {
			if !prose.MatchString(line) {
				output = output && strings.HasPrefix(strings.TrimSpace(line), "//")
				continue
			}
			output = output || strings.HasSuffix(strings.ToLower(line), "output:")
			width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
			if width > 100 && !output && !strings.Contains(line, "http") {
				t.Errorf("%s:%d: the comment has %d columns", path, i+1, width)
			}
		}
	}
}

// TestDocumentedCode holds Go blocks of documents against programs that are run: each of their
// lines is one of the program, in the same order. Of the README this is the first block only.
func TestDocumentedCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		document, program string
		blocks            int // -1 means all
	}{
		{"README.md", "examples/quickstart/main.go", 1},
		{"docs/plain-messages.md", "examples/plain/main.go", -1},
		{"docs/writing-an-adapter.md", "eventtest/example_adapter_test.go", -1},
	} {
		quoted := goBlocks(t, c.document)
		if c.blocks > 0 {
			quoted = quoted[:c.blocks]
		}
		rest := strings.Split(read(t, c.program), "\n")
		for line := range strings.Lines(strings.Join(quoted, "")) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			i := slices.IndexFunc(rest, func(l string) bool { return strings.TrimSpace(l) == line })
			if i < 0 {
				t.Fatalf("this line of %s is not, or not in this order, in %s: %s", c.document, c.program, line)
			}
			rest = rest[i+1:]
		}
	}
}

// TestRootIsReadAtAGlance holds the number of Go files that the root folder shows. What knows
// neither events nor errors is an internal package, and what a test can see from outside is tested
// in internal/tests.
func TestRootIsReadAtAGlance(t *testing.T) {
	t.Parallel()
	const most = 45
	var found []string
	for path := range files(t, "*.go") {
		if !strings.Contains(path, "/") {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	if len(found) == 0 || len(found) > most {
		t.Errorf("the root has %d Go files; at most %d are allowed: %s", len(found), most, strings.Join(found, " "))
	}
}

// TestRootNames holds the number of exported names of the root package, as go doc lists them: types
// with their functions, other functions, constants and variables. The values of a type count as
// the type.
func TestRootNames(t *testing.T) {
	t.Parallel()
	const most = 110
	names := 0
	for line := range strings.Lines(goCommand(t, repoRoot(t), "doc", "-short", ".")) {
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "    const ") {
			names++
		}
	}
	if names == 0 || names > most {
		t.Errorf("the root package exports %d names; at most %d are allowed: does a new one belong into a package of its own?", names, most)
	}
}

// goBlocks returns the Go blocks of a document, of which there is at least one.
func goBlocks(t *testing.T, document string) []string {
	t.Helper()
	var blocks []string
	for _, after := range strings.Split(read(t, document), "```go\n")[1:] {
		block, _, _ := strings.Cut(after, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no Go block", document)
	}
	return blocks
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repoRoot(t), filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// files returns the repository's text files by path, those that git knows and that match one of the
// patterns.
func files(t *testing.T, patterns ...string) map[string][]byte {
	t.Helper()
	root := repoRoot(t)
	list := exec.CommandContext(t.Context(), "git", append([]string{"ls-files", "-z", "--cached", "--others",
		"--exclude-standard", "--"}, patterns...)...)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Skipf("not a git checkout: %v", err) // the module as downloaded, without its history
	}
	found := map[string][]byte{}
	for path := range strings.SplitSeq(string(out), "\x00") {
		if path == "" {
			continue // after the last separator
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.ContainsRune(text, 0) {
			found[path] = text
		} else if !strings.Contains(path, "testdata/") {
			t.Errorf("%s is no text: a program that was built, perhaps", path)
		}
	}
	return found
}

// requirements returns the modules that a go.mod file requires.
func requirements(t *testing.T, dir, gomod string) []string {
	t.Helper()
	var modules []string
	for line := range strings.Lines(goCommand(t, dir, "mod", "edit", "-print", gomod)) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && strings.Contains(fields[0], "/") {
			modules = append(modules, fields[0])
		}
	}
	return modules
}

// repoRoot returns the directory of the root module.
func repoRoot(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// goCommand runs the go command outside of any workspace and returns what it prints.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
