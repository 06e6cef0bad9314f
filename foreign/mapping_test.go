package foreign_test

import (
	"errors"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	errDecode = &leat.Error{Op: "decode", Code: leat.CodeTooLarge, Err: errors.New("the decode error")}
	errOwn    = errors.New("the mapping's own")
)

func mapped(id string) foreign.Mapping {
	return func(foreign.Message) (leat.Event, error) {
		return leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s"})
	}
}

func refuse(foreign.Message) (leat.Event, error) { return leat.Event{}, errOwn }

func pass(m foreign.Message) (leat.Event, error) { return leat.Event{}, m.Err }

func invalid(foreign.Message) (leat.Event, error) { return leat.NewEvent("t", &leat.EventOptions{}) }

func panics(foreign.Message) (leat.Event, error) { panic("at the disco") }

func TestEventKeepsTheDecodeError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mapping foreign.Mapping
		text    string
	}{
		"nil":     {nil, errDecode.Error()},
		"passes":  {pass, errDecode.Error()},
		"refuses": {refuse, errDecode.Error() + "; the Mapping returned no event: the mapping's own"},
		"panics":  {panics, errDecode.Error() + "; the Mapping returned no event: the Mapping panicked: at the disco"},
		"invalid": {invalid, `"source" is missing`},
		"zero":    {func(foreign.Message) (leat.Event, error) { return leat.Event{}, nil }, "zero Event"},
		"all":     {foreign.First(pass, refuse, nil, invalid, panics), "the mapping's own\n"},
		"none":    {foreign.First(), errDecode.Error()},
		"passing": {foreign.First(pass, pass), errDecode.Error()},
	} {
		e, err := c.mapping.Event(foreign.Message{Err: errDecode})
		assert.True(t, e.IsZero(), name)
		require.ErrorIs(t, err, errDecode, name)
		require.ErrorContains(t, err, c.text, name)
		assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), name)
	}
	_, err := foreign.Mapping(refuse).Event(foreign.Message{Err: errDecode})
	require.ErrorIs(t, err, errOwn)
	_, err = foreign.Mapping(refuse).Event(foreign.Message{})
	assert.Equal(t, errOwn, err, "without a decode error there is only the mapping's")
}

func TestFirstTakesTheFirstEvent(t *testing.T) {
	t.Parallel()
	e, err := foreign.First(nil, pass, refuse, invalid, panics, mapped("1"), mapped("2")).Event(foreign.Message{Err: errDecode})
	require.NoError(t, err)
	assert.Equal(t, "1", e.ID())
}

func TestStructured(t *testing.T) {
	t.Parallel()
	body := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`)
	e, err := foreign.Structured(foreign.Message{Body: body, ContentType: "text/plain", Err: foreign.ErrPlain})
	require.NoError(t, err)
	assert.Equal(t, "1", e.ID())
	_, err = foreign.Structured(foreign.Message{Body: body, Err: errDecode})
	require.ErrorIs(t, err, errDecode, "what claims to be an event is not read as another")
	_, err = foreign.Mapping(foreign.Structured).Event(foreign.Message{Body: []byte("{}"), Err: foreign.ErrPlain})
	require.ErrorIs(t, err, foreign.ErrPlain)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}
