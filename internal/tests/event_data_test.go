package leat_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

// Decode is the inverse of WithJSON, and reads every content type that JSONCodec reads.
func TestDecodeIsTheInverseOfWithJSON(t *testing.T) {
	want := order{ID: "o1", Amount: 5}
	e := newEvent(t).WithJSON(want)
	for _, contentType := range []string{"application/json", "", "application/vnd.order+json", "text/json; charset=utf-8"} {
		var got order
		require.NoError(t, e.WithData(contentType, e.Data()).Decode(&got), contentType)
		assert.Equal(t, want, got, contentType)
	}
	var none *order
	require.NoError(t, e.WithJSON(nil).Decode(&none))
	assert.Nil(t, none)
	var raw json.RawMessage
	require.NoError(t, e.Decode(&raw))
	assert.JSONEq(t, e.DataString(), string(raw))
}

// What Decode refuses is rejected like what EventType.Decode refuses, and no error has anything of
// the data.
func TestDecodeRejectsWhatItCannotRead(t *testing.T) {
	e := newEvent(t).WithJSON(order{ID: "o1"})
	for name, c := range map[string]struct {
		e    leat.Event
		want string
	}{
		"zero":         {leat.Event{}, "no data"},
		"no data":      {e.WithData("application/json", nil), "no data"},
		"content type": {e.WithText("SECRET"), `content type is "text/plain; charset=utf-8", not JSON`},
		"syntax":       {e.WithData("", []byte(`{"id":SECRET`)), "malformed JSON at byte"},
		"type":         {e.WithData("", []byte(`{"amount":"SECRET"}`)), `field "amount"`},
		"method":       {e.WithData("", []byte(`{"at":"SECRET"}`)), "does not fit its Go type (*time.ParseError)"},
		"a bad change": {e.WithJSON(func() {}), "unsupported type"},
	} {
		t.Run(name, func(t *testing.T) {
			var v order
			err := c.e.Decode(&v)
			require.ErrorContains(t, err, c.want)
			assert.True(t, leat.IsRejected(err), "a retry cannot help")
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			for _, printed := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				assert.NotContains(t, printed, "SECRET")
			}
		})
	}
}

// A target that cannot be read into is a mistake in the handler, for which no event may leave its
// order.
func TestDecodeIntoWhatIsNoPointerRejectsNothing(t *testing.T) {
	e := newEvent(t).WithJSON(1)
	for _, v := range []any{nil, order{}, (*order)(nil), map[string]any{}} {
		err := e.Decode(v)
		require.ErrorContains(t, err, "needs a pointer", "%T", v)
		assert.False(t, leat.IsRejected(err), "%T", v)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%T", v)
	}
}
