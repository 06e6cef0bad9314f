package googlecloud_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/adapters/watermill/googlecloud"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLimits: a CloudEvent whose attributes pass a limit of Pub/Sub is written in structured mode,
// and keeps its key and its trace context; one at the limits is not.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		o          leat.EventOptions
		structured bool
	}{
		"small":                {leat.EventOptions{}, false},
		"value at the limit":   {leat.EventOptions{Extensions: map[string]any{"x": strings.Repeat("v", 1024)}}, false},
		"value over the limit": {leat.EventOptions{Extensions: map[string]any{"x": strings.Repeat("v", 1025)}}, true},
		"long id":              {leat.EventOptions{ID: strings.Repeat("i", 1025)}, true},
		"long key":             {leat.EventOptions{Key: strings.Repeat("k", 1025)}, true},
		"empty data":           {leat.EventOptions{Data: []byte{}}, false},
	} {
		for _, codec := range []watermill.Codec{{Prefix: "ce-"}, {Structured: true, Prefix: "ce-"}} {
			t.Run(fmt.Sprintf("%s, structured=%t", name, codec.Structured), func(t *testing.T) {
				o := c.o
				o.Source = "/s"
				if o.ID == "" {
					o.ID = "1"
				}
				if o.Key == "" {
					o.Key = "k"
				}
				e := event(t, &o)
				m, err := codec.Message(e)
				require.NoError(t, err)
				m.Metadata["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
				out, err := googlecloud.Marshaler{}.Marshal("t", m)
				require.NoError(t, err)
				assert.LessOrEqual(t, len(out.Attributes), 100)
				for name, value := range out.Attributes {
					assert.LessOrEqual(t, len(value), 1024, name)
				}
				assert.Equal(t, c.structured || codec.Structured, strings.HasPrefix(out.Attributes["content-type"], "application/cloudevents"))
				assert.NotEmpty(t, out.OrderingKey)
				assert.LessOrEqual(t, len(out.OrderingKey), 1024)
				back, err := googlecloud.Marshaler{}.Unmarshal(out)
				require.NoError(t, err)
				assert.Equal(t, m.Metadata["traceparent"], back.Metadata["traceparent"])
				for _, own := range []string{"traceparent", "\xffid", "\xffkey"} { // the stream takes the last two
					delete(back.Metadata, own)
				}
				got, err := codec.Event("t", back)
				require.NoError(t, err)
				assert.True(t, e.Equal(got), "%v", got)
			})
		}
	}
	plain := message.NewMessage("1", nil)
	for i := range 99 {
		plain.Metadata[fmt.Sprint(i)] = ""
	}
	_, err := googlecloud.Marshaler{}.Marshal("t", plain)
	require.NoError(t, err, "99 and the UUID")
	plain.Metadata["99"] = ""
	_, err = googlecloud.Marshaler{}.Marshal("t", plain)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "%v", err)
	plain = message.NewMessage("1", nil)
	plain.Metadata["large"] = strings.Repeat("x", 1025)
	_, err = googlecloud.Marshaler{}.Marshal("t", plain)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "what is not a CloudEvent has no other mode")
	structured := message.NewMessage("1", []byte(`{"specversion":"1.0","id":"1","source":"/","type":"t"}`))
	structured.Metadata["content-type"], structured.Metadata["large"] = "application/cloudevents+json", strings.Repeat("x", 1025)
	_, err = googlecloud.Marshaler{}.Marshal("t", structured)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err), "nothing is dropped")
}
