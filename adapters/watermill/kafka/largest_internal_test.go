package kafka

import (
	"fmt"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLargestEventFits: sarama takes an event of exactly the limit, whatever its bytes are, with its trace context.
func TestLargestEventFits(t *testing.T) {
	for _, structured := range []bool{false, true} {
		for _, limit := range []int{0, 50_000} {
			o := &Options{Codec: watermill.Codec{Structured: structured}}
			if limit > 0 {
				o.Configure = func(c *sarama.Config) { c.Producer.MaxMessageBytes = limit }
			}
			size, most := o.maxEventBytes(), o.config().Producer.MaxMessageBytes
			for _, attributes := range []int{0, 10, 70} {
				for _, text := range []string{"\"", "\xff"} {
					e := largest(t, size, text, attributes)
					m, err := o.Codec.Message(e)
					require.NoError(t, err)
					m.Metadata["traceparent"], m.Metadata["tracestate"] = strings.Repeat("x", 128), strings.Repeat("x", 512)
					record, err := Marshaler{}.Marshal("t", m)
					require.NoError(t, err)
					assert.LessOrEqual(t, record.ByteSize(2), most, "structured %t, %d attributes of %d bytes", structured, attributes, size)
				}
			}
		}
	}
}

// largest returns an event of exactly size bytes, with an id, a key and further attributes that are as long as the size allows.
func largest(t *testing.T, size int, text string, attributes int) leat.Event {
	t.Helper()
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "source", Value: []byte("/s")}, {Name: "type", Value: []byte("t")},
		{Name: "datacontenttype", Value: []byte("text/plain")},
	}
	room := size - 100
	for i := range attributes + 2 {
		name := []string{"id", "partitionkey", fmt.Sprint("x", i)}[min(i, 2)]
		n := min(64<<10, room-len(name))
		if n <= 0 {
			break
		}
		headers = append(headers, leat.Header{Name: name, Value: []byte(strings.Repeat("\"", n))})
		room -= n + len(name)
	}
	bare, err := leat.DecodeEvent(headers, nil)
	require.NoError(t, err)
	e := bare.WithData("text/plain", []byte(strings.Repeat(text, size-bare.Size())))
	require.Equal(t, size, e.Size())
	return e
}
