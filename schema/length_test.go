package schema_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/require"
)

// length is a language of schemas for tests: a text is the most bytes that data has, or the name of
// an import with it.
type length struct{}

func (length) Name() string      { return "LENGTH" }
func (length) Extension() string { return "len" }

func (length) Compile(b schema.Bundle) (schema.Validator, error) {
	most, err := parse(b)
	return validator(most), err
}

func (length) Compare(writer, reader schema.Bundle) ([]schema.Break, error) {
	w, err := parse(writer)
	if err != nil {
		return nil, err
	}
	r, err := parse(reader)
	if err != nil || w <= r {
		return nil, err
	}
	return []schema.Break{{Rule: "shorter", Path: "#", Text: "keep the length"}}, nil
}

func parse(b schema.Bundle) (int, error) {
	text := strings.TrimSpace(b.Text)
	for range 10 {
		imported, ok := b.Imports[text]
		if !ok {
			break
		}
		text = strings.TrimSpace(imported)
	}
	most, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("the text is not a number")
	}
	return most, nil
}

type validator int

func (v validator) Validate(_, data string) error {
	if len(data) > int(v) {
		return schema.NewMismatch(schema.Problem{Rule: "longer than " + strconv.Itoa(int(v))})
	}
	return nil
}

// text is a definition in the language.
func text(s string, references ...schema.Reference) schema.Definition {
	return schema.Definition{Format: "LENGTH", Text: s, References: references}
}

func newMemory(t testing.TB, level schema.Level) *schema.Memory {
	t.Helper()
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{length{}}, Level: level})
	require.NoError(t, err)
	return m
}

// hasCode checks the code of an error, and that it is an Error of Leat.
func hasCode(t testing.TB, err error, code leat.Code, parts ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, leat.CodeOf(err), "%v", err)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
}
