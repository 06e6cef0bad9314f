package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errDeclined = errors.New("the bank does not answer")

// handle is a handler as a function.
type handle = func(ctx context.Context, e leat.Event) error

func nothing(context.Context, leat.Event) error { return nil }

func newEvent(t testing.TB, kind, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(kind, &leat.EventOptions{ID: id, Source: "/shop", Key: key, Data: []byte("secret payload")})
	require.NoError(t, err)
	return e
}

func publish(t testing.TB, rec *eventtest.Recorder, topic string, events ...leat.Event) {
	t.Helper()
	require.NoError(t, leat.NewProducer(rec.Broker(), nil).Publish(t.Context(), topic, events...))
}

// serve starts a consumer on a connection of its own and returns what stops it.
func serve(t testing.TB, rec *eventtest.Recorder, topic, group string, h handle, o *leat.ConsumerOptions) (stop func()) {
	t.Helper()
	sub := leat.Subscription{Topic: topic, Group: group}
	if group == eventtest.BroadcastGroup {
		sub = leat.Subscription{Topic: topic, Broadcast: true}
	}
	consumer := leat.NewConsumer(rec.Broker(), sub, leat.HandlerFunc(h), o)
	return rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, consumer) }, group)
}

// relay returns a handler that publishes an event of its own for each that it gets.
func relay(t testing.TB, rec *eventtest.Recorder, topic, kind string) handle {
	t.Helper()
	producer := leat.NewProducer(rec.Broker(), nil)
	return func(ctx context.Context, e leat.Event) error {
		return producer.Publish(ctx, topic, newEvent(t, kind, e.ID()+"-"+kind, e.Key()))
	}
}

// failingT is a testing.TB that notes why the test failed. Its Fatal returns.
type failingT struct {
	testing.TB

	why []string
}

func (t *failingT) Helper()           {}
func (t *failingT) Fatal(args ...any) { t.why = append(t.why, fmt.Sprint(args...)) }
func (t *failingT) Fatalf(format string, args ...any) {
	t.why = append(t.why, fmt.Sprintf(format, args...))
}

// unsettled returns the message of a wait that must fail.
func unsettled(t testing.TB, rec *eventtest.Recorder) string {
	t.Helper()
	f := &failingT{TB: t}
	rec.Settled(f)
	require.Len(t, f.why, 1, "the wait must fail")
	assert.NotContains(t, f.why[0], "secret payload")
	return f.why[0]
}

// chain starts three services: orders are billed, payments are shipped, and mail is told about both.
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
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
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
		publish(t, rec, "orders", newEvent(t, "order.placed", fmt.Sprint("order-", i), fmt.Sprint("customer-", i%7)))
	}
	rec.Settled(t)
	assert.Equal(t, 200, rec.Handled("mail").Len())
	assert.Equal(t, 600, rec.Published().Len())
}

func TestRecorderWaitsForAnHourOfRetriesInNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		began := time.Now()
		serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error {
			if time.Since(began) < time.Hour {
				return errDeclined
			}
			return nil
		}, nil)
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"),
			newEvent(t, "order.placed", "order-8", "customer-1"))
		rec.Settled(t)
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
		assert.Less(t, time.Since(began), time.Hour+time.Minute)
		assert.Equal(t, 2, rec.Handled("billing").Len())
		assert.Greater(t, rec.Retried("billing").Len(), 100)
	})
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
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
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

func TestRecorderCountsBroadcastStreamsWhileTheyAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		publish(t, rec, "flags", newEvent(t, "flag.set", "before", ""))
		var consumers []*leat.Consumer
		for range 3 {
			consumers = append(consumers, leat.NewConsumer(rec.Broker(), leat.Subscription{Topic: "flags", Broadcast: true},
				leat.HandlerFunc(nothing), nil))
		}
		stop := rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, consumers...) }, eventtest.BroadcastGroup)
		synctest.Wait()
		publish(t, rec, "flags", newEvent(t, "flag.set", "during", ""))
		rec.Settled(t)
		assert.Equal(t, 3, rec.Handled(eventtest.BroadcastGroup).Len())
		stop()
		publish(t, rec, "flags", newEvent(t, "flag.set", "after", ""))
		rec.Settled(t)
		assert.Equal(t, 3, rec.Handled(eventtest.BroadcastGroup).Len())
	})
}

func TestRecorderCountsGroupsThatComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		for i := range 1500 {
			publish(t, rec, "orders", newEvent(t, "order.placed", fmt.Sprint(i), ""))
		}
		serve(t, rec, "orders", "billing", nothing, nil)
		rec.Settled(t)
		assert.Equal(t, 1500, rec.Handled("billing").Len())
		serve(t, rec, "orders", "audit", nothing, nil)
		rec.Settled(t)
		assert.Equal(t, 1500, rec.Handled("audit").Len())
	})
}

func TestRecorderSaysWhyAWaitFailed(t *testing.T) {
	declare := func(t *testing.T, rec *eventtest.Recorder) {
		t.Helper()
		require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders", Group: "audit"}))
	}
	for name, c := range map[string]struct {
		start func(t *testing.T, rec *eventtest.Recorder)
		want  string
	}{
		"nobody consumes": {declare, "orders audit: order.placed order-7, key customer-1 has not been delivered; the group has no consumer now"},
		"always fails": {func(t *testing.T, rec *eventtest.Recorder) {
			t.Helper()
			serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return errDeclined }, nil)
		}, "waits for attempt "},
		"pauses for ever": {func(t *testing.T, rec *eventtest.Recorder) {
			t.Helper()
			serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return leat.Pause(50*time.Minute, errDeclined) }, nil)
		}, "waits for the end of the pause that the handler asked for, due in 10m0s"},
		"no poison queue": {func(t *testing.T, rec *eventtest.Recorder) {
			t.Helper()
			serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return leat.Reject(errDeclined) }, nil)
		}, "is stuck: it was given up, and there is no poison queue: the bank does not answer"},
		"stopped": {func(t *testing.T, rec *eventtest.Recorder) {
			t.Helper()
			stop := serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return errDeclined }, nil)
			go func() {
				time.Sleep(time.Minute)
				stop()
			}()
		}, "went back to the broker; the group has no consumer now"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := eventtest.NewRecorder(t, nil)
				c.start(t, rec)
				publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
				message := unsettled(t, rec)
				assert.Contains(t, message, c.want)
				assert.Contains(t, message, "\n0s          orders: order.placed order-7, key customer-1\n")
				assert.LessOrEqual(t, strings.Count(message, "\n"), 230)
			})
		})
	}
}

func TestRecorderFailsAtOnceWhenAnEventIsStuck(t *testing.T) {
	for _, keepWaiting := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{KeepWaiting: keepWaiting, Timeout: time.Hour})
			serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error { return leat.Reject(errDeclined) }, nil)
			began := time.Now()
			publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
			message := unsettled(t, rec)
			assert.Contains(t, message, "attempt 1: rejected: the bank does not answer\n")
			assert.Contains(t, message, "stuck: the bank does not answer")
			if keepWaiting {
				assert.Equal(t, time.Hour, time.Since(began))
				assert.Contains(t, message, "1h0m0s have passed")
			} else {
				assert.Zero(t, time.Since(began))
			}
		})
	}
}

func TestRecorderNamesTheHandlerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Timeout: time.Hour})
		release := make(chan struct{})
		serve(t, rec, "orders", "billing", func(context.Context, leat.Event) error {
			<-release
			return nil
		}, nil)
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		message := unsettled(t, rec)
		assert.Contains(t, message, "is in attempt 1; the handler has been running for 1h0m0s")
		assert.Contains(t, message, "attempt 1: running for 1h0m0s")
		close(release)
		rec.Settled(t)
	})
}

func TestRecorderWaitEndsWithItsContextInRealTime(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders", Group: "audit"}))
	publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := rec.Wait(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "outstanding: 1\n")
}

func TestRecorderWithConcurrentPublishers(t *testing.T) {
	const publishers, each = 8, 100
	rec := eventtest.NewRecorder(t, nil)
	var fails atomic.Int64
	serve(t, rec, "orders", "billing", func(ctx context.Context, e leat.Event) error {
		if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 && fails.Add(1)%10 == 0 {
			return leat.RetryAfter(time.Millisecond, errDeclined)
		}
		return relay(t, rec, "payments", "payment.taken")(ctx, e)
	}, nil)
	serve(t, rec, "payments", "shipping", nothing, nil)
	serve(t, rec, "orders", "audit", nothing, nil)
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			producer := leat.NewProducer(rec.Broker(), nil)
			for j := range each {
				producer.PublishAsync(t.Context(), "orders", nil,
					newEvent(t, "order.placed", fmt.Sprintf("%d-%d", i, j), fmt.Sprint("k", j%13)))
			}
		})
	}
	wg.Wait()
	rec.Settled(t)
	assert.Equal(t, publishers*each, rec.Handled("billing").Len())
	assert.Equal(t, publishers*each, rec.Handled("audit").Len())
	assert.Equal(t, publishers*each, rec.Handled("shipping").Len())
	for _, r := range rec.Published().Topic("payments") {
		assert.Equal(t, r.Cause.Event.ID()+"-payment.taken", r.Event.ID())
	}
}

func TestRecorderCountsAnEventWhoseLeaseWasLostUntilItIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		t.Cleanup(func() { assert.NoError(t, broker.Close()) })
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: broker})
		serve(t, rec, "orders", "billing", func(ctx context.Context, _ leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); info.Deliveries == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, nil)
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		synctest.Wait()
		require.NoError(t, broker.ExpireLeases("orders", "billing"))
		rec.Settled(t)
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordLost).Len())
		assert.Equal(t, 1, rec.Handled("billing").Len())
		assert.Contains(t, rec.Timeline(), "attempt 1: lease lost\n")
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
		publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
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
	publish(t, rec, "orders", newEvent(t, "order.placed", "order-8", ""))
	assert.Equal(t, 1, rec.Published().Len())
}

func TestRecorderRecordsAStreamWithoutAConsumer(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	broker, sub := rec.Broker(), leat.Subscription{Topic: "orders", Group: "billing"}
	require.NoError(t, leat.Declare(t.Context(), broker, sub))
	stream, err := broker.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
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
	rec := eventtest.NewRecorder(t, nil)
	f := &failingT{TB: t}
	rec.Published().One(f)
	publish(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""), newEvent(t, "order.placed", "order-8", ""))
	rec.Published().One(f)
	require.Len(t, f.why, 2)
	assert.Contains(t, f.why[0], "want one record, got 0")
	assert.Contains(t, f.why[1], "order-8")
}

func TestRecorderStartSaysWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		f := &failingT{TB: t}
		rec.Start(f, func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}, "billing")
		rec.Start(f, func(context.Context) error { return nil }, "audit")
		assert.Equal(t, []string{
			`eventtest: after 24h0m0s the application has not subscribed as ["billing"]`,
			`eventtest: the application ended before it subscribed as ["audit"]`,
		}, f.why)
	})
}

// firstLines returns the first n lines of a text.
func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

func TestRecorderPrintsWhatTheDocumentationShows(t *testing.T) {
	doc, err := os.ReadFile("../docs/testing.md")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		producer := leat.NewProducer(rec.Broker(), nil)
		serve(t, rec, "orders", "billing", func(ctx context.Context, e leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 {
				return leat.RetryAfter(time.Minute, errDeclined)
			}
			return producer.Publish(ctx, "payments", newEvent(t, "order.paid", "8", e.Key()))
		}, nil)
		release := make(chan struct{})
		serve(t, rec, "payments", "shipping", func(context.Context, leat.Event) error {
			<-release
			return nil
		}, nil)
		publish(t, rec, "orders", newEvent(t, "order.placed", "7", "ada"))
		assert.Contains(t, string(doc), "```\n"+unsettled(t, rec)+"\n```\n")
		close(release)
		rec.Settled(t)
	})
}
