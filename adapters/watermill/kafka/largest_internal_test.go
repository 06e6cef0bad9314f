package kafka

import (
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLargestEventFits: sarama takes an event of exactly the limit, whatever its bytes are, with
// its trace context.
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
					e, err := eventgen.Largest(size, "text/plain", text, eventgen.Names(attributes+2, "id", "partitionkey")...)
					require.NoError(t, err)
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
