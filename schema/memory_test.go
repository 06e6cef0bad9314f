package schema_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory(t *testing.T) {
	ctx := t.Context()
	m := newMemory(t, "")
	one, err := m.Register(ctx, "orders", text("10"))
	require.NoError(t, err)
	assert.Equal(t, schema.Ref{Subject: "orders", Version: 1}, one.Ref)
	same, err := m.Register(ctx, "orders", text("10"))
	require.NoError(t, err)
	assert.Same(t, one, same, "the same definition has one version")
	other, err := m.Register(ctx, "invoices", text("10"))
	require.NoError(t, err)
	assert.Equal(t, one.ID, other.ID, "and one ID")
	assert.Len(t, one.GUID, 36)

	_, err = m.Register(ctx, "orders", text("9"))
	hasCode(t, err, leat.CodeConflict, "FULL_TRANSITIVE", "orders/2 cannot read what orders/1 has written: shorter at #: keep the length")
	incompatible, ok := errors.AsType[*schema.IncompatibleError](err)
	require.True(t, ok)
	assert.Len(t, incompatible.Breaks, 1)
	breaks, err := m.Check(ctx, "orders", text("11"))
	require.NoError(t, err)
	require.Len(t, breaks, 1)
	assert.Equal(t, schema.Ref{Subject: "orders", Version: 2}, breaks[0].Writer, "the old one cannot read what the new one writes")

	require.NoError(t, m.SetLevel("orders", schema.Backward))
	two, err := m.Register(ctx, "orders", text("11"))
	require.NoError(t, err)
	assert.Equal(t, 2, two.Version)
	versions, err := m.Versions(ctx, "orders")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, versions)
	assert.Equal(t, []string{"invoices", "orders"}, m.Subjects())

	for _, find := range []func() (*schema.Schema, error){
		func() (*schema.Schema, error) { return m.ByRef(ctx, schema.Ref{Subject: "orders", Version: 2}) },
		func() (*schema.Schema, error) { return m.ByRef(ctx, schema.Ref{Subject: "orders"}) },
		func() (*schema.Schema, error) { return m.ByID(ctx, "orders", two.ID) },
		func() (*schema.Schema, error) { return m.ByID(ctx, "", two.ID) },
		func() (*schema.Schema, error) { return m.ByGUID(ctx, "orders", two.GUID) },
	} {
		found, err := find()
		require.NoError(t, err)
		assert.Same(t, two, found)
	}
}

// Each level allows what Confluent's of the same name does: with lengths, longer is a break
// forward, and shorter one backward.
func TestLevels(t *testing.T) {
	for level, allowed := range map[schema.Level]string{
		schema.None: "8 9 10 11 12", schema.Backward: "10 11 12", schema.BackwardTransitive: "12",
		schema.Forward: "8 9 10", schema.ForwardTransitive: "8", schema.Full: "10", schema.FullTransitive: "",
	} {
		t.Run(string(level), func(t *testing.T) {
			var taken []string
			for _, next := range []string{"8", "9", "10", "11", "12"} {
				m := newMemory(t, schema.None)
				for _, s := range []string{"12", "8", "10"} {
					_, err := m.Register(t.Context(), "s", text(s+" "))
					require.NoError(t, err)
				}
				require.NoError(t, m.SetLevel("s", level))
				if breaks, err := m.Check(t.Context(), "s", text(next)); assert.NoError(t, err) && len(breaks) == 0 {
					taken = append(taken, next)
				}
			}
			assert.Equal(t, allowed, strings.Join(taken, " "))
		})
	}
	m := newMemory(t, "")
	hasCode(t, m.SetLevel("s", "SOMETIMES"), leat.CodeInvalid, `the level "SOMETIMES" is unknown; use one of [NONE`)
	_, err := schema.NewMemory(&schema.MemoryOptions{Level: "X"})
	hasCode(t, err, leat.CodeInvalid, `the level "X" is unknown`)
}

// A definition of another format breaks everybody.
func TestAnotherFormat(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{length{}, renamed{}}})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), "s", text("10"))
	require.NoError(t, err)
	_, err = m.Register(t.Context(), "s", schema.Definition{Format: "RENAMED", Text: "10"})
	hasCode(t, err, leat.CodeConflict, "format-changed: the format was LENGTH and is RENAMED; use a new subject")
	_, err = schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{length{}, length{}}})
	hasCode(t, err, leat.CodeInvalid, `the format "LENGTH" is there twice`)
	_, err = schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{nil}})
	hasCode(t, err, leat.CodeInvalid, "a Format is nil")
}

type renamed struct{ length }

func (renamed) Name() string { return "RENAMED" }

func TestMistakes(t *testing.T) {
	ctx := t.Context()
	m := newMemory(t, "")
	for _, subject := range []string{"", "a/b", ".hidden", "a\nb", strings.Repeat("a", 256), "\xff"} {
		_, err := m.Register(ctx, subject, text("1"))
		hasCode(t, err, leat.CodeInvalid, "subject")
	}
	_, err := m.Register(ctx, "s", text("ten"))
	hasCode(t, err, leat.CodeInvalid, "schema s/1: the text is not a number")
	_, err = m.Register(ctx, "s", schema.Definition{Format: "AVRO", Text: "{}"})
	hasCode(t, err, leat.CodeUnsupported, `schema s/1: the format "AVRO" is not among the Formats`)
	_, err = m.Register(ctx, "s", text("x", schema.Reference{Name: "x", Ref: schema.Ref{Subject: "x", Version: 3}}))
	hasCode(t, err, leat.CodeNotFound, "schema s/1 refers to x/3", `subject "x" has no version 3`)
	_, err = m.Register(ctx, "s", text("x", schema.Reference{Name: "x", Ref: schema.Ref{Subject: "x"}}))
	hasCode(t, err, leat.CodeInvalid, `reference "x": the version of subject "x" is 0; use a version from 1`)
	_, err = m.ByRef(ctx, schema.Ref{Subject: "s"})
	hasCode(t, err, leat.CodeNotFound, `subject "s" has no version`)
	_, err = m.ByID(ctx, "", 7)
	hasCode(t, err, leat.CodeNotFound, "no schema has the ID 7")
	_, err = m.ByGUID(ctx, "", "x")
	hasCode(t, err, leat.CodeNotFound, `no schema has the GUID "x"`)
	_, err = m.Versions(ctx, "s")
	hasCode(t, err, leat.CodeNotFound, `subject "s" has no version`)
}

// References are followed all the way, also where they come back; a name has one meaning.
func TestReferences(t *testing.T) {
	ctx := t.Context()
	m := newMemory(t, schema.None)
	_, err := m.Register(ctx, "a", text("5"))
	require.NoError(t, err)
	ref := func(name, subject string) schema.Reference {
		return schema.Reference{Name: name, Ref: schema.Ref{Subject: subject, Version: 1}}
	}
	_, err = m.Register(ctx, "b", text("a", ref("a", "a")))
	require.NoError(t, err)
	_, err = m.Register(ctx, "c", text("b", ref("b", "b")))
	require.NoError(t, err)
	_, err = m.Register(ctx, "d", text("a", ref("a", "c"), ref("b", "b")))
	hasCode(t, err, leat.CodeInvalid, `schema d/1: the name "a" refers to c/1 and to a/1`)
	loop := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		return &schema.Schema{Ref: r, Definition: text("loop", schema.Reference{Name: "loop", Ref: r})}, nil
	})
	e := newEnforcer(t, loop, &schema.EnforcerOptions{Pins: map[string]schema.Ref{"t": {Subject: "loop", Version: 1}}})
	hasCode(t, e.Warm(ctx), leat.CodeInvalid, "the text is not a number")
	endless := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		next := schema.Ref{Subject: r.Subject, Version: r.Version + 1}
		return &schema.Schema{Ref: r, Definition: text("x", schema.Reference{Name: strconv.Itoa(next.Version), Ref: next})}, nil
	})
	e = newEnforcer(t, endless, &schema.EnforcerOptions{Pins: map[string]schema.Ref{"t": {Subject: "loop", Version: 1}}})
	hasCode(t, e.Warm(ctx), leat.CodeTooLarge, "refers to more than 1000 schemas")
}

// readerFunc is a Reader that knows versions only.
type readerFunc func(r schema.Ref) (*schema.Schema, error)

func (f readerFunc) ByRef(_ context.Context, r schema.Ref) (*schema.Schema, error) { return f(r) }

func (readerFunc) ByID(context.Context, string, int) (*schema.Schema, error) {
	return nil, errors.New("not asked for")
}

func (readerFunc) ByGUID(context.Context, string, string) (*schema.Schema, error) {
	return nil, errors.New("not asked for")
}

// Of many that register the same at once, all get one version.
func TestConcurrentRegister(t *testing.T) {
	m := newMemory(t, schema.None)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := m.Register(context.Background(), "s", text(strconv.Itoa(i%5)))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	versions, err := m.Versions(t.Context(), "s")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 3, 4, 5}, versions)
}
