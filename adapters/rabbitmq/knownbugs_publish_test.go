package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The known bugs of other libraries for RabbitMQ, one test for each, named after what goes wrong in
// them; here it must not. benchmarks/peerlab shows them in those libraries. Some are tested
// elsewhere:
//
//   - confirmed events lost when the broker is killed: TestKilledUnderLoad
//   - data races on a reconnect, and nothing published any more after one: TestConnectionsClosedUnderLoad, with the race detector
//   - unroutable events reported as stored: TestFaults/unroutable
//   - the broker's nack reported as success: TestFaults/queue_full
//   - empty deliveries, and no consumer any more, after the queue was deleted: TestFaults/queue_deleted

// TestClassicQueueLosesNothingByARestart: other libraries publish transient messages, which a
// durable classic queue drops when the broker restarts, although it had confirmed them.
func TestClassicQueueLosesNothingByARestart(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	o := liveOptions(n)
	o.QueueType = rabbitmq.QueueClassic
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	events := liveEvents(t, 0, 200, 1)
	livePublish(t, b, sub.Topic, events...)
	require.NoError(t, n.Restart(t.Context()))
	assert.Equal(t, ids(events), liveReceive(t, liveSubscribeAgain(t, b, sub), len(events)))
}

// liveSubscribeAgain subscribes as soon as the broker is back.
func liveSubscribeAgain(t *testing.T, b *rabbitmq.Broker, sub leat.Subscription) (s leat.Stream) {
	t.Helper()
	liveEventually(t, "the broker is back", func() bool {
		var err error
		s, err = b.Subscribe(t.Context(), sub)
		return err == nil
	})
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// TestBadEventOfABatchDoesNotHideThatNothingIsStored: another library's transaction is rolled back
// when one message cannot be encoded, and reported as committed.
func TestBadEventOfABatchDoesNotHideThatNothingIsStored(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{sharedAddr(t)}})
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	events := liveEvents(t, 0, 3, 1)
	events[1] = leat.Event{}
	errs := liveOutcomes(t.Context(), b, sub.Topic, events...)
	require.NoError(t, errs[0])
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(errs[1]))
	require.NoError(t, errs[2])
	assert.Equal(t, []string{"0", "2"}, liveReceive(t, s, 2))
}

// sharedAddr returns host:port of the RabbitMQ that tests share.
func sharedAddr(t *testing.T) string {
	t.Helper()
	uri, err := amqp.ParseURI(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	return fmt.Sprintf("%s:%d", uri.Host, uri.Port)
}

// TestAlarmDoesNotHoldUpPublishAndClose: other libraries wait for a confirm, and for the end of the
// connection, as long as an alarm of memory lasts. Here each Publish with a deadline and each Close
// with a timeout ends in time, 100 of 100.
func TestAlarmDoesNotHoldUpPublishAndClose(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	for _, underWay := range []int{0, 32} { // the second time, so much that nothing can be written any more
		holdsNobodyUp(t, n, func() error { return n.MemoryAlarm(t.Context(), true) }, underWay)
		require.NoError(t, n.MemoryAlarm(t.Context(), false))
	}
}

// TestHangingBrokerDoesNotHoldUpPublishAndClose is the same with a broker that answers nothing at
// all.
func TestHangingBrokerDoesNotHoldUpPublishAndClose(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	holdsNobodyUp(t, n, n.Pause, 0)
}

// holdsNobodyUp opens brokers, and closes them under the fault after a publish, behind so many MiB
// that are under way.
func holdsNobodyUp(t *testing.T, n *brokertest.RabbitMQNode, fault func() error, underWay int) {
	t.Helper()
	const timeout = 500 * time.Millisecond
	times := 10
	if brokertest.Long() {
		times = 100
	}
	o := liveOptions(n)
	o.CloseTimeout = timeout
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), liveBroker(t, o), sub))
	brokers := make([]*rabbitmq.Broker, times)
	for i := range brokers {
		brokers[i] = liveBroker(t, o)
		livePublish(t, brokers[i], sub.Topic, liveEvents(t, i, i+1, 1)...)
	}
	large := liveEvents(t, 1_000, 1_000+underWay, 8)
	for i, data := 0, make([]byte, 1<<20-16<<10); i < underWay; i++ {
		large[i] = large[i].WithData("application/octet-stream", data)
	}
	require.NoError(t, fault())
	var wg sync.WaitGroup
	turn := make(chan struct{}, 10)
	for i, b := range brokers {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			p := leat.NewProducer(b, nil)
			p.PublishAsync(context.Background(), sub.Topic, func(leat.Event, error) {}, large...)
			if underWay > 0 { // the broker says that it is blocked when it gets the first
				blocked := func() bool { return b.Health() != nil }
				assert.Eventually(t, blocked, livePatience, 5*time.Millisecond, "the connection is blocked")
			}
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			began := time.Now()
			_ = p.Publish(ctx, sub.Topic, liveEvents(t, times+i, times+i+1, 1)...) // the broker may still read the first
			assert.Less(t, time.Since(began), timeout+inTime, "Publish %d", i)
			began = time.Now()
			assert.NoError(t, b.Close())
			assert.Less(t, time.Since(began), timeout+inTime, "Close %d", i)
		})
	}
	wg.Wait()
}

// TestLostConnectionDoesNotLeaveAPublishWaiting: a client waited for ever for a confirm that the
// lost connection can no longer bring. The outcome is unknown: not refused, as the client itself
// says by the same value as a nack.
func TestLostConnectionDoesNotLeaveAPublishWaiting(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	last := []byte("the last one")
	p := newProxy(t, n.Addr())
	passed := passing(p, last)
	o := liveOptions(n)
	o.Hosts = []string{p.Addr()}
	b := liveBroker(t, o)
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	require.NoError(t, n.Pause())
	events := liveEvents(t, 1, 100, 1)
	end, err := leat.NewEvent("live", &leat.EventOptions{Source: "/live", Key: events[0].Key(), Data: last})
	require.NoError(t, err)
	answers := make(chan error, len(events)+1)
	b.Publish(t.Context(), sub.Topic, append(events, end), func(_ int, err error) { answers <- err })
	<-passed // what is sent only after the connection is lost has not got lost with it
	p.Cut()
	for range cap(answers) {
		select {
		case err := <-answers:
			assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err), err)
		case <-time.After(5 * time.Second):
			t.Fatal("no outcome 5 s after the connection was lost")
		}
	}
}

// passing makes the channel that it returns closed when a client has sent a text through the proxy.
func passing(p *proxy, text []byte) <-chan struct{} {
	passed := make(chan struct{})
	var mu sync.Mutex
	var before []byte
	p.Filter(func(d eventtest.Direction, b []byte) ([]byte, error) {
		if d == eventtest.ToClient {
			return b, nil
		}
		mu.Lock()
		defer mu.Unlock()
		if before = append(before, b...); bytes.Contains(before, text) {
			select {
			case <-passed:
			default:
				close(passed)
			}
		}
		before = bytes.Clone(before[max(0, len(before)-len(text)):])
		return b, nil
	})
	return passed
}

// TestPublishWhoseTimeIsOverIsNoSuccess: another library returns nil when the context of a publish
// ends while it tries again.
func TestPublishWhoseTimeIsOverIsNoSuccess(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "") // leads nowhere
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{p.Addr()}, DeliveryTimeout: time.Second, CloseTimeout: time.Second})
	producer := leat.NewProducer(b, nil)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := producer.Publish(ctx, "orders", liveEvents(t, 0, 3, 1)...)
		cancel()
		require.Error(t, err)
		failed, ok := errors.AsType[*leat.PublishError](err)
		require.True(t, ok, err)
		assert.Len(t, failed.Failures, 3)
	}
}
