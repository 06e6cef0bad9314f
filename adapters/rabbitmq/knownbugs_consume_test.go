package rabbitmq_test

import (
	"context"
	"errors"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAckAfterReconnectDoesNotAckAnotherEvent: another library acks by the bare delivery tag on
// whatever channel there is. After a reconnect, another event has that tag, and is lost.
func TestAckAfterReconnectDoesNotAckAnotherEvent(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 4, 1)...)
	liveReceive(t, s, 1)      // tag 1
	late := liveHold(t, s, 3) // events 1, 2 and 3 with tags 2, 3 and 4
	liveEventually(t, "the first is acked", func() bool {
		q, err := n.Queue(t.Context(), "/", sub.Topic+"."+sub.Group)
		return err == nil && q.Unacked == 3
	})
	_, err := n.CloseConnections(t.Context(), nil)
	require.NoError(t, err)
	held := liveHold(t, s, 3) // tags 1, 2 and 3
	require.Equal(t, "1", held[0].Event.ID())
	for i := range late {
		s.Settle(&late[i], leat.Settlement{Action: leat.Ack})
	}
	require.NoError(t, s.Close(t.Context()))
	assert.Equal(t, []string{"1", "2", "3"}, liveReceive(t, liveSubscribe(t, b, sub), 3), "an event that nobody handled was acked")
}

// TestMessageWithOddHeadersIsNotRedeliveredForEver: another library nacks what it cannot read, and
// has it back 8,000 times a second, with nothing else coming through.
func TestMessageWithOddHeadersIsNotRedeliveredForEver(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{sharedAddr(t)}})
	sub := liveSub(t)
	replay := leat.Subscription{Topic: leat.PoisonTopic(sub.Topic, sub.Group), Group: leat.ReplayGroup}
	require.NoError(t, leat.Declare(t.Context(), b, sub, replay))
	handled := make(chan leat.Event, 100)
	stop := liveRun(t, b, sub, func(_ context.Context, e leat.Event) error {
		handled <- e
		return nil
	}, &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, &leat.ProducerOptions{Source: "/test"}), nil)})
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	<-handled // it runs

	ch := liveChannel(t, liveRaw(t, brokertest.RabbitMQ(t)))
	require.NoError(t, ch.Confirm(false))
	odd := amqp.Table{"attempt": int32(3), "at": time.Unix(1_700_000_000, 0), "history": []any{amqp.Table{"count": int64(1)}}}
	began := time.Now()
	for _, headers := range []amqp.Table{
		odd, // no CloudEvent at all
		{"ce-specversion": int32(1), "ce-id": []any{"a", int32(1)}, "ce-source": true, "ce-type": nil},
		with(odd, amqp.Table{"ce-specversion": "1.0", "ce-id": "typed", "ce-source": "/odd", "ce-type": "odd", "ce-count": int32(7)}),
	} {
		m := amqp.Publishing{Headers: headers, Body: []byte("{}")}
		confirm, err := ch.PublishWithDeferredConfirm(sub.Topic, "odd", true, false, m)
		require.NoError(t, err)
		require.True(t, confirm.Wait())
	}
	events := liveEvents(t, 1, 6, 1)
	livePublish(t, b, sub.Topic, events...)
	var got []string
	for range len(events) + 1 {
		got = append(got, (<-handled).ID())
	}
	assert.Less(t, time.Since(began), time.Second, "the others are held up")
	assert.ElementsMatch(t, append(ids(events), "typed"), got)
	poisoned := liveHold(t, liveSubscribe(t, b, replay), 2)
	for _, d := range poisoned {
		p, err := leat.PoisonedFrom(d.Event)
		require.NoError(t, err)
		assert.NotNil(t, p.Malformed)
	}
	stop()
	assert.Empty(t, handled, "nothing is handled twice")
	liveNothing(t, liveSubscribe(t, b, sub), 300*time.Millisecond)
}

func with(a, b amqp.Table) amqp.Table {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// liveRun runs a consumer until the function that it returns is called, or the test ends.
func liveRun(
	t *testing.T, b leat.Broker, sub leat.Subscription, h leat.HandlerFunc, o *leat.ConsumerOptions,
) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, leat.NewConsumer(b, sub, h, o)) }()
	var stopped bool
	stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-ended; err != nil {
				t.Log("the consumer ended: ", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

var errBroken = errors.New("broken")

// TestFailingEventIsNotRedeliveredWithoutAPause: other libraries give a failing message back at
// once, up to 200,000 times a second.
func TestFailingEventIsNotRedeliveredWithoutAPause(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{sharedAddr(t)}})
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	var attempts, deliveries atomic.Int64
	liveRun(t, b, sub, func(ctx context.Context, _ leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		deliveries.Store(int64(info.Deliveries))
		attempts.Add(1)
		return errBroken
	}, nil)
	liveEventually(t, "it is tried", func() bool { return attempts.Load() > 0 })
	<-time.After(2 * time.Second)
	assert.LessOrEqual(t, attempts.Load(), int64(20))
	assert.Equal(t, int64(1), deliveries.Load(), "it is tried again here, not at the broker")
}

// TestEventIsNotAckedWhileThePoisonQueueIsDown: another library acks a poison message that it
// cannot put into its error queue.
func TestEventIsNotAckedWhileThePoisonQueueIsDown(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{sharedAddr(t)}})
	sub := liveSub(t)
	replay := leat.Subscription{Topic: leat.PoisonTopic(sub.Topic, sub.Group), Group: leat.ReplayGroup}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	var rejected atomic.Int64
	consumer := &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil)}
	stop := liveRun(t, b, sub, func(_ context.Context, e leat.Event) error {
		if e.ID() != "1" {
			return nil
		}
		rejected.Add(1)
		return leat.Reject(errBroken)
	}, consumer)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 1, 1)...)
	ch := liveChannel(t, liveRaw(t, brokertest.RabbitMQ(t)))
	liveEventually(t, "the consumer runs", func() bool { return queueLength(t, sub) == 0 })
	require.NoError(t, ch.ExchangeDelete(replay.Topic, false, false))
	livePublish(t, b, sub.Topic, liveEvents(t, 1, 2, 1)...)
	liveEventually(t, "the event is rejected", func() bool { return rejected.Load() > 0 })
	stop() // as if the process ended: what was not put away must still be there

	require.NoError(t, leat.Declare(t.Context(), b, replay))
	liveRun(t, b, sub, func(context.Context, leat.Event) error { return leat.Reject(errBroken) }, consumer)
	d := liveHold(t, liveSubscribe(t, b, replay), 1)[0]
	p, err := leat.PoisonedFrom(d.Event)
	require.NoError(t, err)
	assert.Equal(t, "1", p.Event.ID(), "the event was acked though nothing had taken it")
}

// TestShutdownDoesNotPoisonWhatIsBeingHandled: other libraries count the context that ends with the
// process as a failure of the handler, and put healthy messages into the error queue.
func TestShutdownDoesNotPoisonWhatIsBeingHandled(t *testing.T) {
	t.Parallel()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{sharedAddr(t)}})
	sub := liveSub(t)
	replay := leat.Subscription{Topic: leat.PoisonTopic(sub.Topic, sub.Group), Group: leat.ReplayGroup}
	require.NoError(t, leat.Declare(t.Context(), b, sub, replay))
	events := liveEvents(t, 0, 4, 4)
	livePublish(t, b, sub.Topic, events...)
	running := make(chan struct{}, len(events))
	stop := liveRun(t, b, sub, func(ctx context.Context, _ leat.Event) error {
		running <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}, &leat.ConsumerOptions{
		Middleware:  []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})},
		PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil), ShutdownTimeout: 100 * time.Millisecond,
	})
	for range events {
		<-running
	}
	stop()
	liveNothing(t, liveSubscribe(t, b, replay), 300*time.Millisecond)
	assert.ElementsMatch(t, ids(events), liveReceive(t, liveSubscribe(t, b, sub), len(events)))
}

// TestTopologyIsThereAgainAfterAReconnect: other libraries connect again, and consume from a queue
// that is no longer there, or not bound any more.
func TestTopologyIsThereAgainAfterAReconnect(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	s := liveSubscribe(t, b, sub)
	livePublish(t, b, sub.Topic, liveEvents(t, 0, 3, 1)...)
	liveReceive(t, s, 3)
	require.NoError(t, n.DeleteQueue(t.Context(), "/", sub.Topic+"."+sub.Group))
	require.NoError(t, n.DeleteExchange(t.Context(), "/", sub.Topic))
	_, err := n.CloseConnections(t.Context(), nil)
	require.NoError(t, err)
	event := liveEvents(t, 3, 4, 1)
	liveEventually(t, "events are taken again", func() bool { return liveOutcomes(t.Context(), b, sub.Topic, event...)[0] == nil })
	assert.Equal(t, "3", liveReceive(t, s, 1)[0])
}

// queueLength returns how many messages of a group are ready on the shared broker.
func queueLength(t *testing.T, sub leat.Subscription) int {
	t.Helper()
	ch := liveChannel(t, liveRaw(t, brokertest.RabbitMQ(t)))
	q, err := ch.QueueDeclarePassive(sub.Topic+"."+sub.Group, true, false, false, false, nil)
	require.NoError(t, err)
	return q.Messages
}
