package jsonschema_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func bundleOf(version int, text string) schema.Bundle {
	return schema.Bundle{Ref: schema.Ref{Subject: "s", Version: version}, Text: text}
}

func compile(t testing.TB, text string) schema.Validator {
	t.Helper()
	v, err := jsonschema.Format{}.Compile(bundleOf(1, text))
	require.NoError(t, err, text)
	return v
}

func accepts(v schema.Validator, data string) bool {
	return v.Validate("application/json", data) == nil
}

// pair is a change of a schema.
type pair struct {
	Name  string          `json:"name"`
	Older json.RawMessage `json:"older"`
	Newer json.RawMessage `json:"newer"`
	// Backward is data that Older accepts and Newer refuses; empty where there is none. Forward is
	// the other way round.
	Backward json.RawMessage `json:"backward"`
	Forward  json.RawMessage `json:"forward"`
	// Lenient is "backward" or "forward" where the break in that direction counts with Strict only.
	Lenient string `json:"lenient"`
	// Unclear is the direction in which a break is reported that no data shows, because the rule
	// cannot be compared.
	Unclear string `json:"unclear"`
}

func pairs(t *testing.T) (all []pair) {
	t.Helper()
	text, err := os.ReadFile("testdata/pairs.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// Every pair is compared in both directions. A break has a witness: data that one schema accepts
// and the other refuses. So no row can be wrong about a break.
func TestPairs(t *testing.T) {
	all := pairs(t)
	require.GreaterOrEqual(t, len(all), 120)
	names := map[string]bool{}
	for _, p := range all {
		require.False(t, names[p.Name], "%s is there twice", p.Name)
		names[p.Name] = true
		for _, d := range []direction{
			{"backward", string(p.Older), string(p.Newer), string(p.Backward)},
			{"forward", string(p.Newer), string(p.Older), string(p.Forward)},
		} {
			t.Run(p.Name+", "+d.name, func(t *testing.T) { d.check(t, p.Lenient == d.name, p.Unclear == d.name) })
		}
	}
}

type direction struct{ name, writer, reader, witness string }

func (d *direction) check(t *testing.T, tolerated, unclear bool) {
	t.Helper()
	strict, err := jsonschema.Format{Strict: true}.Compare(bundleOf(1, d.writer), bundleOf(2, d.reader))
	require.NoError(t, err)
	lenient, err := jsonschema.Format{}.Compare(bundleOf(1, d.writer), bundleOf(2, d.reader))
	require.NoError(t, err)
	if unclear {
		assert.NotEmpty(t, strict, "with Strict")
		return
	}
	if d.witness == "" {
		assert.Empty(t, strict, "with Strict")
		assert.Empty(t, lenient)
		return
	}
	assert.NotEmpty(t, strict, "with Strict")
	assert.Equal(t, tolerated, len(lenient) == 0, "%v", lenient)
	assert.True(t, accepts(compile(t, d.writer), d.witness), "the writer has to accept %s", d.witness)
	assert.False(t, accepts(compile(t, d.reader), d.witness), "the reader has to refuse %s", d.witness)
	for _, b := range strict {
		assert.NotEmpty(t, b.Text, "a text for %s", b.Rule)
		assert.True(t, strings.HasPrefix(b.Path, "#"), b.Path)
	}
}

// A schema breaks nothing of itself, whatever it has, also with another title.
func TestReflexive(t *testing.T) {
	for _, p := range pairs(t) {
		for _, text := range []string{string(p.Older), string(p.Newer)} {
			same := strings.Replace(text, "{", `{"title":"another",`, 1)
			if text == "true" || text == "false" || strings.Contains(text, "$dynamic") {
				continue
			}
			if text == "{}" {
				same = `{"title":"another"}`
			}
			for _, f := range []jsonschema.Format{{Strict: true}, {}} {
				breaks, err := f.Compare(bundleOf(1, text), bundleOf(2, same))
				require.NoError(t, err, text)
				assert.Empty(t, breaks, text)
			}
		}
	}
}
