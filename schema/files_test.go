package schema_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func files(pairs ...string) fstest.MapFS {
	all := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return all
}

func TestFromFS(t *testing.T) {
	m, err := schema.FromFS(files(
		"README.md", "", ".git/config", "",
		"orders/1.len", "10", "orders/2.len", "customer", "orders/10.len", "11",
		"orders/subject.json", `{"level":"BACKWARD","references":{"2":[{"name":"customer","subject":"customers","version":1}]}}`,
		"customers/1.len", "10",
	), length{})
	require.NoError(t, err)
	assert.Equal(t, []string{"customers", "orders"}, m.Subjects())
	versions, err := m.Versions(t.Context(), "orders")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 10}, versions)
	two, err := m.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 2})
	require.NoError(t, err)
	assert.Equal(t, []schema.Reference{{Name: "customer", Ref: schema.Ref{Subject: "customers", Version: 1}}}, two.References)
	again, err := schema.FromFS(files("orders/1.len", "10"), length{})
	require.NoError(t, err)
	one, err := again.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 1})
	require.NoError(t, err)
	same, err := m.ByID(t.Context(), "", one.ID)
	require.NoError(t, err)
	assert.Equal(t, one.GUID, same.GUID, "IDs and GUIDs are the same everywhere")
}

// A version that breaks those before it fails the build, with all that is wrong.
func TestFilesThatBreak(t *testing.T) {
	_, err := schema.FromFS(files("a/1.len", "10", "a/2.len", "9", "b/1.len", "1", "b/2.len", "2"), length{})
	hasCode(t, err, leat.CodeConflict, "a/2 cannot read what a/1 has written", "b/1 cannot read what b/2 has written")
	_, ok := errors.AsType[*schema.IncompatibleError](err)
	assert.True(t, ok)
}

func TestWrongFiles(t *testing.T) {
	about := func(json string) fstest.MapFS { return files("a/1.len", "x", "a/subject.json", json) }
	for want, wrong := range map[string]fstest.MapFS{
		"1.len is not a directory":                             files("1.len", "1"),
		"a/first.len: the name is not the number of a version": files("a/first.len", "1"),
		"a/01.len: the name is not the number of a version":    files("a/01.len", "1"),
		"a/0.len: the name is not the number of a version":     files("a/0.len", "1"),
		`a/1.json: no format has the extension "json"`:         files("a/1.json", "1"),
		"schema a/1: the text is not a number":                 files("a/1.len", "one"),
		"a/subject.yaml is not read":                           files("a/1.len", "1", "a/subject.yaml", "level: FULL"),
		"a/subject.json: invalid character":                    about("level"),
		`a/subject.json: json: unknown field "levels"`:         about(`{"levels":"FULL"}`),
		`a/subject.json: the level "SOME" is unknown`:          about(`{"level":"SOME"}`),
		"has references of version 2, which has no file":       about(`{"references":{"2":[]}}`),
		`reference "x" of version 1: the subject is empty`:     about(`{"references":{"1":[{"name":"x"}]}}`),
		"schema a/1 refers to b/1":                             about(`{"references":{"1":[{"name":"x","subject":"b","version":1}]}}`),
		"a/1.len has more than 4194304 bytes":                  files("a/1.len", strings.Repeat("1", 4<<20+1)),
	} {
		_, err := schema.FromFS(wrong, length{})
		require.Error(t, err, want)
		assert.ErrorContains(t, err, want)
	}
}
