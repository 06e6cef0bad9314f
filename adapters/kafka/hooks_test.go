package kafka_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// scribble writes to all bytes of a record.
func scribble(r *kgo.Record) {
	all := [][]byte{r.Key, r.Value}
	for _, h := range r.Headers {
		all = append(all, h.Value)
	}
	for _, bytes := range all {
		for i := range bytes {
			bytes[i]++
		}
	}
}

type onBuffered struct{}

func (onBuffered) OnProduceRecordBuffered(r *kgo.Record) { scribble(r) }

type onPartitioned struct{}

func (onPartitioned) OnProduceRecordPartitioned(r *kgo.Record, _ int32) { scribble(r) }

type onUnbuffered struct{}

func (onUnbuffered) OnProduceRecordUnbuffered(r *kgo.Record, _ error) { scribble(r) }

// TestHooksMayEditRecords: hooks that write to the bytes of a record change no event, whose bytes
// the record would share without them.
func TestHooksMayEditRecords(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]kgo.Hook{"buffered": onBuffered{}, "partitioned": onPartitioned{}, "unbuffered": onUnbuffered{}} {
		for _, structured := range []bool{false, true} {
			f := newFake(t, kfake.SeedTopics(1, "t"))
			o := quick(f.ListenAddrs()...)
			o.Client, o.Structured = []kgo.Opt{kgo.WithHooks(hook)}, structured
			b := open(t, o)
			e, err := leat.NewEvent("some.type", &leat.EventOptions{ID: "id", Source: "/source", Key: "key", Data: []byte("some data"),
				DataContentType: "text/plain"})
			require.NoError(t, err)
			before, err := e.AppendJSON(nil)
			require.NoError(t, err)
			for range 3 { // what is encoded into is used again
				require.NoError(t, publishOne(b, "t", e, 10*time.Second))
			}
			after, err := e.AppendJSON(nil)
			require.NoError(t, err)
			assert.Equal(t, string(before), string(after), "%s, structured %t", name, structured)
			if name != "unbuffered" {
				continue
			}
			s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
			require.NoError(t, err)
			for _, d := range liveHold(t, s, 3) {
				assert.True(t, e.Equal(d.Event), "%s, structured %t", name, structured)
			}
		}
	}
}
