package kafka

import (
	"strconv"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// plain lets the client have fetched a record that is not a CloudEvent, of which the mapping makes
// an event of the same key.
func (l *loose) plain(key string) {
	r := &kgo.Record{Topic: "t", Offset: l.next, Key: []byte(key), Value: []byte("plain")}
	l.next++
	l.polled = append(l.polled, chunk{tenure: l.tenures[0], records: []*kgo.Record{r}})
}

// during calls f while a record is decoded, once.
func (l *loose) during(f func()) {
	l.decoder.mapping = func(m foreign.Message) (leat.Event, error) {
		if f != nil {
			f()
			f = nil
		}
		return leat.NewEvent("t", &leat.EventOptions{ID: strconv.FormatInt(m.Position.Offset, 10), Source: "/s", Key: string(m.Key)})
	}
}

// TestGivenBackWhileALaterOneIsDecoded: a delivery that is given back while a later one of its key
// is decoded, for which the stream does not hold its lock, comes before that one (T2).
func TestGivenBackWhileALaterOneIsDecoded(t *testing.T) {
	t.Parallel()
	l := newLoose(t, 1<<20)
	l.put("k", "")
	_, out := l.get(1)
	l.plain("k")
	l.plain("other")
	l.during(func() { l.settle(leat.GiveBack, out...) })
	ids, all := l.get(10)
	assert.Equal(t, []string{"0", "1", "2"}, ids)
	l.settle(leat.Ack, all...)
	assert.EqualValues(t, 3, l.tenures[0].watermark)
	held, _ := l.book.Held()
	assert.Zero(t, held)
}

// TestGivenBackWhileOneThatWasGivenBackGoesOut: the same where the later one was given back before,
// and waited to be delivered again.
func TestGivenBackWhileOneThatWasGivenBackGoesOut(t *testing.T) {
	t.Parallel()
	l := newLoose(t, 1<<20)
	l.put("k", "")
	l.put("k", "")
	_, both := l.get(10)
	l.settle(leat.GiveBack, both...)
	ids, first := l.get(1)
	require.Equal(t, []string{"0"}, ids)
	ids, second := l.get(10)
	require.Equal(t, []string{"1"}, ids)
	l.plain("k")
	l.during(func() { l.settle(leat.GiveBack, first...) })
	ids, _ = l.get(10)
	require.Empty(t, ids)
	l.settle(leat.GiveBack, second...)
	ids, all := l.get(10)
	assert.Equal(t, []string{"0", "1", "2"}, ids)
	l.settle(leat.Ack, all...)
	assert.EqualValues(t, 3, l.tenures[0].watermark)
	held, _ := l.book.Held()
	assert.Zero(t, held)
}
