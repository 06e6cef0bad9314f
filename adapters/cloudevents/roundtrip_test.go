package cloudevents_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRoundTrip takes 10,000 generated events to the SDK and back: each is equal in every attribute
// and type, its data byte for byte, or was refused with the name of an attribute. Then it looks
// that every type came through, and what was refused.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	const events = 10_000
	g := newGenerator(1)
	types, refused, kept := map[string]int{}, map[string]int{}, 0
	for i := range events {
		e := g.event()
		out, err := cloudevents.ToSDK(e)
		if err != nil {
			var attribute *leat.AttributeError
			require.ErrorAs(t, err, &attribute, "event %d", i)
			require.Equal(t, leat.CodeUnsupported, leat.CodeOf(err), "event %d: %v", i, err)
			refused[attribute.Rule]++
			continue
		}
		require.NoError(t, out.Validate(), "event %d", i)
		back, err := cloudevents.FromSDK(out)
		require.NoError(t, err, "event %d", i)
		require.True(t, back.Equal(e), "event %d:\n%v\n%v", i, e, back)
		require.Equal(t, e.Data(), back.Data(), "event %d", i)
		for name, want := range e.Extensions() {
			got, _ := back.Extension(name)
			require.IsType(t, want, got, "event %d, extension %s", i, name)
			types[typeName(want)]++
		}
		kept++
	}
	t.Logf("%d of %d events went there and back; refused: %v; extensions by type: %v", kept, events, refused, types)
	assert.Greater(t, kept, events/3)
	assert.Len(t, types, 7)
	assert.Len(t, refused, 2)
	for _, rule := range []string{"would be written anew by the SDK", "is refused by the SDK"} {
		assert.Positive(t, refused[rule], rule)
	}
}

func typeName(value any) string {
	switch value.(type) {
	case bool:
		return "Boolean"
	case int32:
		return "Integer"
	case []byte:
		return "Binary"
	case leat.URI:
		return "URI"
	case leat.URIRef:
		return "URI-reference"
	case string:
		return "String"
	}
	return "Timestamp"
}

// TestRoundTripByTheSDKsJSON sends the events through the SDK's own writer. Times are the same
// instants after that, extensions the same texts.
func TestRoundTripByTheSDKsJSON(t *testing.T) {
	t.Parallel()
	g := newGenerator(2)
	for i := range 2_000 {
		e := g.event()
		out, err := cloudevents.ToSDK(e)
		if err != nil {
			continue
		}
		text, err := out.MarshalJSON()
		require.NoError(t, err, "event %d", i)
		back, err := leat.ParseEvent(text)
		require.NoError(t, err, "event %d: %s", i, text)
		require.True(t, e.Time().Equal(back.Time()), "event %d", i)
		require.True(t, back.WithTime(e.Time()).Equal(e), "event %d: %s", i, text)
	}
}

// TestErrorsNeverQuoteValues: the attribute is named, and nothing else of the event but its id.
func TestErrorsNeverQuoteValues(t *testing.T) {
	t.Parallel()
	e := decoded(t, []byte("payload"), "source", "HTTP://secret/", "subject", " secret")
	_, err := cloudevents.ToSDK(e)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	var own *leat.Error
	require.ErrorAs(t, err, &own)
	assert.Equal(t, "1", own.EventID)
}
