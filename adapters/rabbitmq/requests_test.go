package rabbitmq_test

import (
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testRequestsWithoutAnswer: requests that the broker does not answer end in time, and each keeps a
// channel. Some of them do not disturb the streams of the connection; before there are too many,
// the connection is given up for another.
func testRequestsWithoutAnswer(t *testing.T, n *brokertest.RabbitMQNode) {
	p := newProxy(t, n.Addr())
	o := liveOptions(n)
	sub := liveSub(t)
	plain := liveBroker(t, o)
	require.NoError(t, leat.Declare(t.Context(), plain, sub))
	o.Hosts, o.RequestTimeout = []string{p.Addr()}, time.Second
	b := liveBroker(t, o)
	var s leat.Stream
	liveEventually(t, "there is a stream", func() bool {
		var err error
		s, err = b.Subscribe(t.Context(), sub)
		return err == nil
	})
	before := p.Dials()

	ask := func(times int) {
		var wg sync.WaitGroup
		for range times {
			wg.Go(func() {
				began := time.Now()
				_, err := b.Lag(t.Context(), sub.Topic, sub.Group)
				assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), err)
				assert.Less(t, time.Since(began), o.RequestTimeout+inTime)
			})
		}
		wg.Wait()
	}
	answers := func() bool {
		_, err := b.Lag(t.Context(), sub.Topic, sub.Group)
		return err == nil
	}
	p.keep(methodQueueDeclareOK)
	ask(150)
	p.keep("")
	liveEventually(t, "requests are answered", answers)
	livePublish(t, plain, sub.Topic, liveEvents(t, 0, 10, 1)...)
	liveReceive(t, s, 10)
	require.Equal(t, before, p.Dials(), "a few lost answers do not end the connection")

	p.keep(methodQueueDeclareOK)
	ask(150)
	p.keep("")
	liveEventually(t, "there is another connection", func() bool { return answers() && p.Dials() > before })
	livePublish(t, plain, sub.Topic, liveEvents(t, 10, 20, 1)...)
	assert.Equal(t, "19", liveReceive(t, s, 10)[9])
}
