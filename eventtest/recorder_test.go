package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// chain starts three services: orders are billed, payments are shipped, and mail is told about
// both.
func chain(t testing.TB, rec *eventtest.Recorder) {
	t.Helper()
	var failed atomic.Bool
	bill := relay(t, rec, "payments", "paid")
	serve(t, rec, "orders", "billing", func(ctx context.Context, e leat.Event) error {
		if failed.CompareAndSwap(false, true) {
			return leat.RetryAfter(time.Minute, errDeclined)
		}
		return bill(ctx, e)
	}, nil)
	serve(t, rec, "payments", "shipping", relay(t, rec, "parcels", "shipped"), nil)
	serve(t, rec, "parcels", "mail", nothing, nil)
}

func TestRecorderFollowsAChainOfServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		chain(t, rec)
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		rec.Settled(t)

		assert.Equal(t, 1, rec.Handled("mail").Type("shipped").Key("customer-1").Len())
		assert.Zero(t, rec.Handled("mail").Key("customer-2").Len())
		paid := rec.Published().Topic("payments").One(t)
		assert.Equal(t, "billing", paid.Cause.Group)
		assert.Equal(t, "order-7", paid.Cause.Event.ID())
		assert.Equal(t, 2, paid.Cause.Attempt)
		assert.Equal(t, time.Minute, paid.At)
		retried := rec.Retried("billing").One(t)
		assert.ErrorIs(t, retried.Err, errDeclined)
		assert.Equal(t, time.Minute, retried.Delay)
		assert.Equal(t, strings.TrimLeft(`
0s          orders: order.placed order-7, key customer-1
              billing
0s              attempt 1: failed, again in 1m0s: retry after 1m0s: the bank does not answer
1m0s            attempt 2: handled
1m0s              payments: paid order-7-paid, key customer-1
                    shipping
1m0s                  attempt 1: handled
1m0s                    parcels: shipped order-7-paid-shipped, key customer-1
                          mail
1m0s                        attempt 1: handled
`, "\n"), rec.Timeline())
	})
}

func TestRecorderFollowsAChainInRealTime(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	serve(t, rec, "orders", "billing", relay(t, rec, "payments", "payment.taken"), nil)
	serve(t, rec, "payments", "shipping", relay(t, rec, "parcels", "parcel.sent"), nil)
	serve(t, rec, "parcels", "mail", nothing, nil)
	for i := range 200 {
		publishOn(t, rec, "orders", newEvent(t, "order.placed", fmt.Sprint("order-", i), fmt.Sprint("customer-", i%7)))
	}
	rec.Settled(t)
	assert.Equal(t, 200, rec.Handled("mail").Len())
	assert.Equal(t, 600, rec.Published().Len())
}

func TestRecorderFollowsAnEventIntoThePoisonQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		producer := leat.NewProducer(rec.Broker(), nil)
		var down atomic.Bool
		down.Store(true)
		queue := middleware.PoisonQueue(producer, nil)
		serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return errDeclined }, &leat.ConsumerOptions{
			Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 2})},
			PoisonQueue: poisonQueue{queue, func() error {
				if down.CompareAndSwap(true, false) {
					return errDeclined
				}
				return nil
			}},
		})
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		rec.Settled(t) // the poison queue keeps it for a replay, which need not come
		assert.Equal(t, "order-7", rec.Poisoned("billing").One(t).Event.ID())
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordRejected).Len())
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordPoisonFailed).Len())
		stored := rec.Published().Topic("orders.billing.poison").One(t)
		assert.Equal(t, "billing", stored.Cause.Group)
		assert.Equal(t, 2, stored.Cause.Attempt)
		assert.Contains(t, rec.Timeline(), "    orders.billing.poison: order.placed order-7, key customer-1\n")

		serve(t, rec, "orders.billing.poison", leat.ReplayGroup, nothing, nil)
		rec.Settled(t)
		assert.Equal(t, 1, rec.Handled(leat.ReplayGroup).Len(), "with a consumer, it counts")
	})
}

// poisonQueue is a poison queue that may fail first.
type poisonQueue struct {
	leat.PoisonQueue

	fail func() error
}

func (q poisonQueue) Poison(ctx context.Context, p leat.Poisoned) error {
	if err := q.fail(); err != nil {
		return err
	}
	return q.PoisonQueue.Poison(ctx, p)
}

func TestRecorderTakesAMalformedDeliveryForOneFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		t.Cleanup(func() { assert.NoError(t, broker.Close()) })
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: broker})
		serve(t, rec, "orders", "billing", nothing, &leat.ConsumerOptions{
			PoisonQueue: middleware.PoisonQueue(leat.NewProducer(rec.Broker(), nil), nil),
		})
		require.NoError(t, broker.DeliverRaw("orders", leat.Malformed{Body: []byte("secret payload"), Reason: errors.New("no id")}))
		synctest.Wait()
		rec.Settled(t)
		assert.True(t, rec.Poisoned("billing").One(t).Event.IsZero())
		assert.Equal(t, "orders", rec.Published().One(t).Cause.Topic)
		assert.Contains(t, rec.Timeline(), "orders: a malformed delivery, published by somebody else\n")
		assert.NotContains(t, rec.Timeline(), "secret payload")
	})
}

// TestRecorderHasTheTransportsKey: of a message that a Mapping made an event of.
func TestRecorderHasTheTransportsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(&memory.Options{Mapping: foreign.Plain(nil)})
		t.Cleanup(func() { assert.NoError(t, broker.Close()) })
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: broker})
		var key string
		serve(t, rec, "orders", "billing", func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			key = info.Key
			return nil
		}, nil)
		require.NoError(t, broker.DeliverRaw("orders", leat.Malformed{Key: []byte("ada\xff"), Body: []byte("secret payload")}))
		synctest.Wait()
		rec.Settled(t)
		assert.Equal(t, "ada\xff", key)
		handled := rec.Handled("billing").Key("ada\xff").One(t)
		assert.Equal(t, "orders/0/0 ada\xff", handled.Event.ID()+" "+handled.TransportKey)
		assert.Empty(t, handled.Event.Key())
		assert.Zero(t, rec.Handled("billing").Key("").Len())
		assert.Contains(t, rec.Timeline(), `orders: orders orders/0/0, key of the transport "ada\xff", published by somebody else`)
	})
}

func TestRecorderSurvivesARestartOfTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		var works atomic.Bool
		app := func(ctx context.Context) error { // as in production, with another Opener
			broker, err := leat.Openers{"kafka": rec.Open}.Open(ctx, "kafka://broker:9092?tls=on")
			if err != nil {
				return err
			}
			sub := leat.Subscription{Topic: "orders", Group: "billing"}
			err = leat.Run(ctx, leat.NewConsumer(broker, sub, leat.HandlerFunc(func(context.Context, leat.Event) error {
				if works.Load() {
					return nil
				}
				return leat.RetryAfter(time.Hour, errDeclined)
			}), nil))
			return errors.Join(err, broker.Close())
		}
		stop := rec.Start(t, app, "billing")
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		synctest.Wait()
		stop()
		works.Store(true)
		rec.Start(t, app, "billing")
		rec.Settled(t)
		assert.Equal(t, 1, rec.Handled("billing").Len())
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordGivenBack).Len())
	})
}

func TestRecorderConnectionsAreClosedOneByOne(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	broker := rec.Broker()
	require.NoError(t, leat.Declare(t.Context(), broker, leat.Subscription{Topic: "orders", Group: "billing"}))
	stream, err := broker.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Group: "billing"})
	require.NoError(t, err)
	require.NoError(t, broker.Close())
	require.NoError(t, broker.Close())
	_, err = stream.Receive(t.Context(), make([]leat.Delivery, 1))
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
	_, err = broker.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Group: "billing"})
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
	err = leat.NewProducer(broker, nil).Publish(t.Context(), "orders", newEvent(t, "order.placed", "order-7", ""))
	assert.ErrorContains(t, err, "closed")
	publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-8", ""))
	assert.Equal(t, 1, rec.Published().Len())
}

func TestRecorderRecordsAStreamWithoutAConsumer(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	broker, sub := rec.Broker(), leat.Subscription{Topic: "orders", Group: "billing"}
	require.NoError(t, leat.Declare(t.Context(), broker, sub))
	stream, err := broker.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
	var into [1]leat.Delivery
	for _, action := range []leat.Action{leat.GiveBack, leat.Ack} {
		_, err = stream.Receive(t.Context(), into[:])
		require.NoError(t, err)
		stream.Settle(&into[0], leat.Settlement{Action: action})
	}
	rec.Settled(t)
	assert.Equal(t, 1, rec.Handled("billing").Len())
	assert.Equal(t, 2, rec.Records().Kind(eventtest.RecordDelivered).Len())
}

func TestRecorderTellsOneRecordFromMore(t *testing.T) {
	rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Topics: []string{"orders"}})
	f := &failingT{TB: t}
	rec.Published().One(f)
	publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""), newEvent(t, "order.placed", "order-8", ""))
	rec.Published().One(f)
	require.Len(t, f.why, 2)
	assert.Contains(t, f.why[0], "want one record, got 0")
	assert.Contains(t, f.why[1], "order-8")
}

// The Recorder behaves as Kafka and RabbitMQ do: what nobody declared is not there. A topic that is
// declared later works from then on.
func TestRecorderIsStrict(t *testing.T) {
	publish := func(rec *eventtest.Recorder) error {
		return leat.NewProducer(rec.Broker(), nil).Publish(t.Context(), "orders", newEvent(t, "order.placed", "order-7", ""))
	}
	rec := eventtest.NewRecorder(t, nil)
	err := publish(rec)
	assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
	require.ErrorContains(t, err, "ProducerOptions.Topics")
	require.ErrorContains(t, err, "leat.Declare")
	require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders"}))
	require.NoError(t, publish(rec))
	serve(t, rec, "orders", "billing", nothing, nil)
	rec.Settled(t)
	assert.Equal(t, 1, rec.Handled("billing").Len(), "what was refused is not there")

	require.NoError(t, publish(eventtest.NewRecorder(t, &eventtest.RecorderOptions{AnyTopic: true})))
	own := memory.New(nil)
	defer func() { require.NoError(t, own.Close()) }()
	f := &failingT{TB: t}
	eventtest.NewRecorder(f, &eventtest.RecorderOptions{Broker: own, AnyTopic: true})
	eventtest.NewRecorder(f, &eventtest.RecorderOptions{Topics: []string{"no spaces"}})
	require.Len(t, f.why, 2)
	assert.Contains(t, f.why[0], "AnyTopic is not for a Broker")
	assert.Contains(t, f.why[1], "declaring RecorderOptions.Topics")
}

// recorded lets the suite for adapters test the Recorder.
type recorded struct {
	rec    *eventtest.Recorder
	topics *atomic.Int64
}

func (h recorded) Open(ctx context.Context) (leat.Broker, error) { return h.rec.Open(ctx, nil) }

func (h recorded) Topic() string { return fmt.Sprint("topic-", h.topics.Add(1)) }

func TestRecorderKeepsTheRulesOfABroker(t *testing.T) {
	eventtest.TestAdapter(t, recorded{eventtest.NewRecorder(t, nil), &atomic.Int64{}}, nil)
}

// watched is a broker that has a health, and whose streams have one and want to know when nobody
// receives any more.
type watched struct {
	*memory.Broker

	quiet chan struct{}
}

func (w watched) Health() error { return errDeclined }

func (w watched) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := w.Broker.Subscribe(ctx, sub)
	return watchedStream{s, w.quiet}, err
}

type watchedStream struct {
	leat.Stream

	quiet chan struct{}
}

func (s watchedStream) Health() error { return errDeclined }

func (s watchedStream) Quiesce() { close(s.quiet) }

func TestRecorderPassesOnWhatItsBrokerCanDo(t *testing.T) {
	inner := watched{memory.New(nil), make(chan struct{})}
	t.Cleanup(func() { assert.NoError(t, inner.Close()) })
	rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: inner})
	broker := rec.Broker()
	assert.ErrorIs(t, broker.(leat.HealthReporter).Health(), errDeclined)
	sub := leat.Subscription{Topic: "flags", Broadcast: true}
	stream, err := broker.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	assert.ErrorIs(t, stream.(leat.HealthReporter).Health(), errDeclined)
	require.NoError(t, stream.Close(t.Context()))
	assert.NoError(t, eventtest.NewRecorder(t, nil).Broker().(leat.HealthReporter).Health(), "memory has none")

	serve(t, rec, "orders", "billing", nothing, nil)()
	<-inner.quiet
}
