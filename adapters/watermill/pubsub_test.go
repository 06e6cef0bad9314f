package watermill_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	wmware "github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

type ctxKey struct{}

// TestNackAndAck: a Nack comes again after the constant delay with its key waiting and others going
// on; contexts have the values of Subscribe's and end with the Ack.
func TestNackAndAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		byMetadata := watermill.Codec{Key: func(_ string, m *message.Message) string { return m.Metadata.Get("k") }}
		pub := watermill.NewPublisher(broker, &watermill.PublisherOptions{Codec: byMetadata})
		sub := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{Group: "g", NackDelay: 3 * time.Second, CloseBroker: true})
		messages, err := sub.Subscribe(context.WithValue(t.Context(), ctxKey{}, "v"), "orders")
		require.NoError(t, err)
		for _, id := range []string{"a1", "a2", "b1"} {
			m := message.NewMessage(id, []byte(id))
			m.Metadata.Set("k", id[:1])
			m.Metadata.Set("correlation_id", "7")
			require.NoError(t, pub.Publish("orders", m))
		}
		got := map[string]*message.Message{}
		for range 2 {
			m := <-messages
			got[m.UUID] = m
		}
		require.Len(t, got, 2)
		require.Contains(t, got, "a1")
		require.Contains(t, got, "b1", "another key does not wait for the Ack")
		assert.Equal(t, "v", got["a1"].Context().Value(ctxKey{}))
		assert.Equal(t, message.Metadata{"k": "a", "correlation_id": "7"}, got["a1"].Metadata)
		for range 5 {
			nacked := time.Now()
			require.True(t, got["a1"].Nack())
			again := <-messages
			assert.Equal(t, "a1", again.UUID)
			assert.Equal(t, 3*time.Second, time.Since(nacked))
			require.Error(t, got["a1"].Context().Err())
			got["a1"] = again
		}
		require.True(t, got["a1"].Ack())
		<-got["a1"].Context().Done()
		m := <-messages
		assert.Equal(t, "a2", m.UUID)
		m.Ack()
		got["b1"].Ack()
		require.NoError(t, sub.Close())
		require.NoError(t, sub.Close(), "twice")
		_, open := <-messages
		assert.False(t, open)
		require.NoError(t, pub.Close())
		require.NoError(t, pub.Close(), "twice")
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(pub.Publish("orders", message.NewMessage("x", nil))))
		_, err = sub.Subscribe(t.Context(), "orders")
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
	})
}

// TestDrain: when the subscription's context ends, a message that was handed out keeps a live
// context and may be acked; the channel is closed after that. What is not acked by the CloseTimeout
// comes again, and what was not handed out was never delivered.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		options := &watermill.SubscriberOptions{Group: "g", CloseTimeout: 5 * time.Second}
		sub := watermill.NewSubscriber(broker, options)
		ctx, cancel := context.WithCancel(t.Context())
		messages, err := sub.Subscribe(ctx, "orders")
		require.NoError(t, err)
		pub := watermill.NewPublisher(broker, nil)
		for _, id := range []string{"1", "2", "3"} {
			require.NoError(t, pub.Publish("orders", message.NewMessage(id, nil)))
		}
		first, second := <-messages, <-messages // any two: without keys there is no order
		cancel()
		synctest.Wait()
		time.Sleep(4 * time.Second)
		require.NoError(t, first.Context().Err(), "a handler at work is not disturbed")
		require.True(t, first.Ack())
		select {
		case m := <-messages:
			assert.Fail(t, "nothing is handed out any more", "%v", m)
		default:
		}
		<-second.Context().Done()
		_, open := <-messages
		assert.False(t, open)

		next, err := sub.Subscribe(t.Context(), "orders")
		require.NoError(t, err, "the same Subscriber subscribes again")
		left := []string{first.UUID}
		for range 2 {
			m := <-next
			left = append(left, m.UUID)
			m.Ack()
		}
		assert.ElementsMatch(t, []string{"1", "2", "3"}, left, "%s was acked", first.UUID)
		require.NoError(t, sub.Health())
		require.NoError(t, sub.Close())
		require.NoError(t, broker.Close())
	})
}

// TestPublishErrors: what cannot become an event is refused before anything is published; what the
// broker refuses is named.
func TestPublishErrors(t *testing.T) {
	broker := memory.New(&memory.Options{MaxEventBytes: 20_000})
	pub := watermill.NewPublisher(broker, &watermill.PublisherOptions{CloseBroker: true})
	defer func() { require.NoError(t, pub.Close()) }()
	good := message.NewMessage("1", []byte("x"))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(pub.Publish("t", good, message.NewMessage("", nil))))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(pub.Publish("t", good, nil)))
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(pub.Publish("t", message.NewMessage("1", make([]byte, 5<<20)))))
	err := pub.Publish("t", message.NewMessage("2", make([]byte, 30_000)), good)
	failed, ok := errors.AsType[*leat.PublishError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 2, failed.Total)
	assert.Len(t, failed.Failures, 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(pub.Publish("t", message.NewMessageWithContext(ended, "1", nil))))
	require.NoError(t, pub.Publish("t"))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(watermill.NewPublisher(nil, nil).Publish("t", good)))
	_, err = watermill.NewSubscriber(nil, nil).Subscribe(t.Context(), "t")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = watermill.NewSubscriber(broker, nil).Subscribe(t.Context(), "t")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "no group")
}

// TestPoison: what is no CloudEvent goes to the poison queue where there is one.
func TestPoison(t *testing.T) {
	broker := memory.New(nil)
	producer := leat.NewProducer(broker, nil)
	sub := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{
		Group: "g", PoisonQueue: middleware.PoisonQueue(producer, nil), CloseBroker: true,
	})
	messages, err := sub.Subscribe(t.Context(), "orders")
	require.NoError(t, err)
	poisoned, err := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{Group: leat.ReplayGroup}).
		Subscribe(t.Context(), leat.PoisonTopic("orders", "g"))
	require.NoError(t, err)
	require.NoError(t, broker.DeliverRaw("orders", leat.Malformed{Body: []byte("?")}))
	require.NoError(t, watermill.NewPublisher(broker, nil).Publish("orders", message.NewMessage("1", nil)))
	m := <-messages
	assert.Equal(t, "1", m.UUID)
	m.Ack()
	bad := <-poisoned
	assert.Equal(t, "leat.malformed.v1", bad.Metadata.Get("ce_type"))
	bad.Ack()
	require.NoError(t, sub.Close())
}

// TestClosedBrokerClosesTheChannel: there is nothing to wait for then.
func TestClosedBrokerClosesTheChannel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	broker := memory.New(nil)
	sub := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{Group: "g"})
	messages, err := sub.Subscribe(t.Context(), "orders")
	require.NoError(t, err)
	require.NoError(t, broker.Close())
	_, open := <-messages
	assert.False(t, open)
	require.NoError(t, sub.Close())
}

var errHandler = errors.New("handler")

// TestMiddleware: what has a meaning around a handler of Leat works, what has none pauses the
// consumer and says so.
func TestMiddleware(t *testing.T) {
	e := event(t, "1", "k")
	attempts := 0
	handle := func(m message.HandlerMiddleware, err error) error {
		attempts = 0
		h := leat.HandlerFunc(func(ctx context.Context, got leat.Event) error {
			attempts++
			_, limited := ctx.Deadline()
			assert.True(t, got.Equal(e))
			if limited {
				return context.DeadlineExceeded
			}
			return err
		})
		return watermill.Middleware(m, watermill.Codec{})(h).Handle(t.Context(), e)
	}
	pass := func(h message.HandlerFunc) message.HandlerFunc { return h }
	require.NoError(t, handle(pass, nil))
	require.ErrorIs(t, handle(pass, errHandler), errHandler)
	require.ErrorIs(t, handle(wmware.Timeout(time.Hour), nil), context.DeadlineExceeded)
	require.NoError(t, handle(wmware.NewIgnoreErrors([]error{errHandler}).Middleware, errHandler))
	retry := wmware.Retry{MaxRetries: 2, InitialInterval: time.Millisecond}.Middleware
	require.ErrorIs(t, handle(retry, errHandler), errHandler)
	assert.Equal(t, 3, attempts)
	require.True(t, leat.IsDecided(handle(retry, leat.Reject(errHandler))))
	assert.Equal(t, 1, attempts, "what is decided is not tried again")
	require.ErrorIs(t, handle(wmware.NewIgnoreErrors([]error{errHandler}).Middleware, leat.Reject(errHandler)), errHandler, "nor passed over")

	ack := func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { m.Ack(); return h(m) }
	}
	produce := func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			_, err := h(m)
			return message.Messages{m}, err
		}
	}
	change := func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) { m.Metadata.Set("a", "b"); return h(m) }
	}
	for _, m := range []message.HandlerMiddleware{ack, produce, change} {
		err := handle(m, nil)
		assert.True(t, leat.IsDecided(err), "%v", err)
		assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
	}
}

// TestRouterDrains: when a Watermill Router closes, a handler at work keeps a live context, what it
// returns is published, and its message does not come again. On stock Pub/Subs all three fail.
func TestRouterDrains(t *testing.T) {
	broker := memory.New(nil)
	defer func() { require.NoError(t, broker.Close()) }()
	pub := watermill.NewPublisher(broker, nil)
	sub := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{Group: "g"})
	require.NoError(t, leat.Declare(t.Context(), broker, leat.Subscription{Topic: "out", Group: "g"}))
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, wm.NopLogger{})
	require.NoError(t, err)
	working, finish := make(chan struct{}), make(chan struct{})
	router.AddHandler("h", "in", sub, "out", pub, func(m *message.Message) ([]*message.Message, error) {
		close(working)
		<-finish
		return message.Messages{message.NewMessage("produced", nil)}, m.Context().Err()
	})
	ran := make(chan error, 1)
	go func() { ran <- router.Run(t.Context()) }()
	<-router.Running()
	require.NoError(t, watermill.NewPublisher(broker, nil).Publish("in", message.NewMessage("1", nil)))
	<-working
	closed := make(chan error, 1)
	go func() { closed <- router.Close() }()
	require.Eventually(t, func() bool { // the Router closes its Subscriber at once
		return leat.CodeOf(sub.SubscribeInitialize("in")) == leat.CodeClosed
	}, time.Minute, time.Millisecond)
	close(finish)
	require.NoError(t, <-closed)
	require.NoError(t, <-ran)
	queued, unsettled, err := broker.Depth("in", "g")
	require.NoError(t, err)
	assert.Zero(t, queued+unsettled, "its message does not come again")
	queued, _, err = broker.Depth("out", "g")
	require.NoError(t, err)
	assert.Equal(t, 1, queued, "what it returned is published")
}
