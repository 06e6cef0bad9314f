package eventtest_test

import (
	"context"
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
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"),
			newEvent(t, "order.placed", "order-8", "customer-1"))
		rec.Settled(t)
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)
		assert.Less(t, time.Since(began), time.Hour+time.Minute)
		assert.Equal(t, 2, rec.Handled("billing").Len())
		assert.Greater(t, rec.Retried("billing").Len(), 100)
	})
}

func TestRecorderCountsBroadcastStreamsWhileTheyAreThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Topics: []string{"flags"}})
		publishOn(t, rec, "flags", newEvent(t, "flag.set", "before", ""))
		var consumers []*leat.Consumer
		for range 3 {
			consumers = append(consumers, leat.NewConsumer(rec.Broker(), leat.Subscription{Topic: "flags", Broadcast: true},
				leat.HandlerFunc(nothing), nil))
		}
		stop := rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, consumers...) }, eventtest.BroadcastGroup)
		synctest.Wait()
		publishOn(t, rec, "flags", newEvent(t, "flag.set", "during", ""))
		rec.Settled(t)
		assert.Equal(t, 3, rec.Handled(eventtest.BroadcastGroup).Len())
		stop()
		publishOn(t, rec, "flags", newEvent(t, "flag.set", "after", ""))
		rec.Settled(t)
		assert.Equal(t, 3, rec.Handled(eventtest.BroadcastGroup).Len())
	})
}

func TestRecorderCountsGroupsThatComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Topics: []string{"orders"}})
		for i := range 1500 {
			publishOn(t, rec, "orders", newEvent(t, "order.placed", fmt.Sprint(i), ""))
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
				publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
				message := lostWait(t, rec)
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
			publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
			message := lostWait(t, rec)
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
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		message := lostWait(t, rec)
		assert.Contains(t, message, "is in attempt 1; the handler has been running for 1h0m0s")
		assert.Contains(t, message, "attempt 1: running for 1h0m0s")
		close(release)
		rec.Settled(t)
	})
}

func TestRecorderWaitEndsWithItsContextInRealTime(t *testing.T) {
	rec := eventtest.NewRecorder(t, nil)
	require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders", Group: "audit"}))
	publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", ""))
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
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		synctest.Wait()
		require.NoError(t, broker.ExpireLeases("orders", "billing"))
		rec.Settled(t)
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordLost).Len())
		assert.Equal(t, 1, rec.Handled("billing").Len())
		assert.Contains(t, rec.Timeline(), "attempt 1: lease lost\n")
	})
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
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "7", "ada"))
		assert.Contains(t, string(doc), "```\n"+lostWait(t, rec)+"\n```\n")
		close(release)
		rec.Settled(t)
	})
}

func TestRecorderCountsAnEventThatIsPublishedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		bill := relay(t, rec, "payments", "paid")
		serve(t, rec, "orders", "billing", func(ctx context.Context, e leat.Event) error {
			if err := bill(ctx, e); err != nil {
				return err
			}
			if info, _ := leat.InfoFrom(ctx); info.Attempt == 1 {
				return errDeclined // after it has published
			}
			return nil
		}, nil)
		serve(t, rec, "payments", "shipping", nothing, nil)
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		rec.Settled(t)
		paid := rec.Published().Type("paid")
		require.Equal(t, 2, paid.Len())
		assert.Equal(t, 1, paid[0].Cause.Attempt)
		assert.Equal(t, 2, paid[1].Cause.Attempt)
		assert.Equal(t, 2, rec.Handled("shipping").Len())
	})
}

func TestRecorderDoesNotWaitForWhatABroadcastLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := memory.New(nil)
		t.Cleanup(func() { assert.NoError(t, broker.Close()) })
		rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: broker})
		serve(t, rec, "flags", eventtest.BroadcastGroup, func(ctx context.Context, _ leat.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		publishOn(t, rec, "flags", newEvent(t, "flag.set", "1", ""))
		synctest.Wait()
		broker.Crash()
		rec.Settled(t)
		assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordLost).Len())
	})
}

func TestRecorderDoesNotCountWhatWasRefused(t *testing.T) {
	rec := eventtest.NewRecorder(t, &eventtest.RecorderOptions{Broker: memory.New(&memory.Options{MaxEventBytes: 10})})
	require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders", Group: "billing"}))
	outcome := make(chan error, 1)
	rec.Broker().Publish(t.Context(), "orders", []leat.Event{newEvent(t, "order.placed", "order-7", "")},
		func(_ int, err error) { outcome <- err })
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(<-outcome))
	rec.Settled(t)
	assert.Equal(t, 1, rec.Records().Kind(eventtest.RecordPublishFailed).Len())
	assert.Contains(t, rec.Timeline(), "order-7, failed: ")
}

func TestRecorderBoundsWhatAFailedWaitPrints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		require.NoError(t, leat.Declare(t.Context(), rec.Broker(), leat.Subscription{Topic: "orders", Group: "audit"}))
		for i := range 100 {
			publishOn(t, rec, "orders", newEvent(t, "order.placed", fmt.Sprint("order-", i), ""))
		}
		message := lostWait(t, rec)
		assert.Contains(t, message, "outstanding: 100\n")
		assert.Contains(t, message, "\n  and 80 more\n")
		assert.Contains(t, message, "\nand 100 more lines, which Recorder.Timeline has")
		assert.Equal(t, 300, strings.Count(rec.Timeline(), "\n"))
	})
}

func TestRecorderTakesBackWhatAHandlerHeldWhenItsServiceEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		release := make(chan struct{})
		f := &failingT{TB: t}
		stop := serve(f, rec, "orders", "billing", func(context.Context, leat.Event) error {
			<-release
			return nil
		}, &leat.ConsumerOptions{ShutdownTimeout: time.Second})
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "order-7", "customer-1"))
		synctest.Wait()
		stop()
		require.Len(t, f.why, 1)
		assert.Contains(t, f.why[0], "still runs")
		assert.Contains(t, lostWait(t, rec), "went back to the broker; the group has no consumer now")
		close(release) // what it says now has no effect
		synctest.Wait()
		assert.Zero(t, rec.Handled("billing").Len())
		serve(t, rec, "orders", "billing", nothing, nil)
		rec.Settled(t)
		assert.Equal(t, 1, rec.Handled("billing").Len())
	})
}

// Without the Observer, what goes through the broker is still known, and a wait that fails says
// what is not.
func TestRecorderThatIsNotTheObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := eventtest.NewRecorder(t, nil)
		producer := leat.NewProducer(rec.Broker(), nil)
		o := &leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(producer, nil)}
		serveWith(t, rec, "orders", "billing", func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			switch {
			case e.ID() == "rejected":
				return leat.Reject(errDeclined)
			case e.ID() == "retried" && info.Attempt == 1:
				return leat.RetryAfter(time.Minute, errDeclined)
			case e.ID() == "slow":
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}, o)
		publishOn(t, rec, "orders", newEvent(t, "order.placed", "rejected", "k"), newEvent(t, "order.placed", "retried", "k"))
		rec.Settled(t)
		assert.Equal(t, "retried", rec.Handled("billing").One(t).Event.ID())
		assert.Equal(t, "rejected", rec.Poisoned("billing").One(t).Event.ID())
		assert.Zero(t, rec.Retried("billing").Len())

		publishOn(t, rec, "orders", newEvent(t, "order.placed", "slow", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := rec.Wait(ctx)
		require.ErrorContains(t, err, "orders billing: order.placed slow is in the consumer\n")
		require.ErrorContains(t, err, `what the group "billing" does with its events is not seen: set the Observer of its leat.ConsumerOptions`)

		serve(t, rec, "orders", "shipping", nothing, nil)
		synctest.Wait() // for what can be settled: ctx is over
		err = rec.Wait(ctx)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), `group "shipping"`, "it is settled there")
	})
}
