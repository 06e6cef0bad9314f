package leat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failingPublish is a broker of which every publish has the outcome of that code.
func failingPublish(codes ...leat.Code) *fakeBroker {
	b := newFakeBroker()
	b.publish = func(_ context.Context, topic string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			if code := codes[i%len(codes)]; code != 0 {
				done(i, &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: errBoom})
			} else {
				done(i, nil)
			}
		}
	}
	return b
}

// A broker that is down is no failure of the event whose handler publishes to it, however long it
// lasts and whatever Retry says.
func TestOutageOfWhatAHandlerPublishesToPoisonsNothing(t *testing.T) {
	for _, code := range []leat.Code{leat.CodeUnavailable, leat.CodeUnknown, leat.CodeExhausted, leat.CodeClosed} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				down := failingPublish(code)
				producer := leat.NewProducer(down, nil)
				b := newFakeBroker()
				var mu sync.Mutex
				calls, up := 0, false
				var infos []leat.Info
				r := start(t, b, func(ctx context.Context, e leat.Event) error {
					if e.Key() == "quiet" {
						return nil
					}
					info, _ := leat.InfoFrom(ctx)
					mu.Lock()
					infos = append(infos, info)
					calls++
					isUp := up
					mu.Unlock()
					if isUp {
						return nil
					}
					return fmt.Errorf("cannot bill: %w", producer.Publish(ctx, "invoices", event(t, "i", "")))
				}, &leat.ConsumerOptions{
					Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{
						MaxAttempts: 3, MaxElapsed: time.Minute, If: func(error) bool { return false },
					})},
					PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
						assert.Fail(t, "poisoned")
						return nil
					}),
				})
				lease := leat.NewLease()
				b.deliver(lease, event(t, "1", "k"), event(t, "2", "k"))
				time.Sleep(time.Hour)
				mu.Lock()
				assert.Greater(t, calls, 50)
				assert.Less(t, calls, 300, "it backs off to 30 s")
				mu.Unlock()
				h := r.consumer.Health()
				assert.Equal(t, leat.Degraded, h.State)
				require.Len(t, h.Problems, 1)
				assert.Equal(t, code, leat.CodeOf(h.Problems[0]))
				assert.ErrorContains(t, h.Problems[0], `1 event waits, because its handler cannot publish: `+
					`publish topic "invoices" event "i": boom, since 2000-01-01T00:00:00Z`)
				assert.Zero(t, r.consumer.Stats().Retried)

				b.deliver(lease, event(t, "q", "quiet"))
				synctest.Wait()
				assert.Equal(t, []string{"q ack"}, b.settlements(), "an event whose handler publishes nothing goes on")

				mu.Lock()
				up = true
				mu.Unlock()
				time.Sleep(time.Minute)
				assert.Equal(t, []string{"q ack", "1 ack", "2 ack"}, b.settlements())
				assert.Equal(t, leat.Health{}, r.consumer.Health())
				mu.Lock()
				defer mu.Unlock()
				for _, info := range infos {
					assert.Equal(t, 1, info.Attempt)
				}
				r.stopClean()
			})
		})
	}
}

// What the time of an outage adds to FirstAttempt is not the event's: MaxElapsed must not run out
// meanwhile.
func TestOutageTakesNothingFromMaxElapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var calls atomic.Int64
		r := start(t, b, func(context.Context, leat.Event) error {
			switch n := calls.Add(1); {
			case n == 1:
				return errBoom
			case n < 30:
				return &leat.Error{Op: "publish", Code: leat.CodeUnavailable}
			case n == 30:
				return errBoom
			}
			return nil
		}, &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxElapsed: time.Minute})}})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		r.stopClean()
	})
}

func TestIsOutage(t *testing.T) {
	publish := func(code leat.Code) error { return &leat.Error{Op: "publish", Code: code, Err: errBoom} }
	many := func(codes ...leat.Code) error {
		e := &leat.PublishError{Topic: "t", Total: len(codes)}
		for _, code := range codes {
			e.Failures = append(e.Failures, leat.PublishFailure{Err: publish(code)})
		}
		return e
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nil":                              {nil, false},
		"another error":                    {errBoom, false},
		"unavailable":                      {publish(leat.CodeUnavailable), true},
		"wrapped":                          {fmt.Errorf("x: %w", publish(leat.CodeUnknown)), true},
		"joined with another error":        {errors.Join(errBoom, publish(leat.CodeClosed)), true},
		"too large":                        {publish(leat.CodeTooLarge), false},
		"several that are down":            {many(leat.CodeUnknown, leat.CodeExhausted), true},
		"one that is refused":              {many(leat.CodeUnknown, leat.CodeTooLarge), false},
		"refused, then unknown":            {many(leat.CodeInvalid, leat.CodeUnknown), false},
		"one whose context ended":          {many(leat.CodeUnknown, leat.CodeCanceled), true},
		"only contexts that ended":         {many(leat.CodeCanceled), false},
		"two publishes, one refused":       {errors.Join(many(leat.CodeUnknown), publish(leat.CodeInvalid)), false},
		"rejected":                         {leat.Reject(publish(leat.CodeUnavailable)), false},
		"paused":                           {leat.Pause(time.Second, publish(leat.CodeUnavailable)), false},
		"with a delay of the handler's":    {leat.RetryAfter(time.Second, publish(leat.CodeUnavailable)), true},
		"put off":                          {leat.Postpone(time.Second, publish(leat.CodeUnavailable)), true},
		"of another operation":             {&leat.Error{Op: "subscribe", Code: leat.CodeUnavailable}, false},
		"a publish inside of another call": {&leat.Error{Op: "handle", Code: leat.CodeInternal, Err: publish(leat.CodeUnknown)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, leat.IsOutage(c.err))
			if c.want {
				assert.True(t, leat.IsDecided(c.err))
			}
		})
	}
}

// A Producer that was closed before the Consumer, and a handler with a delay of its own, do not
// spin, and the drain is clean.
func TestClosedProducerDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		producer := leat.NewProducer(newFakeBroker(), nil)
		require.NoError(t, producer.Close(t.Context()))
		var calls atomic.Int64
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			calls.Add(1)
			err := producer.Publish(ctx, "invoices", e)
			if e.ID() == "slow" {
				return leat.RetryAfter(5*time.Minute, err)
			}
			return err
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(10 * time.Second)
		assert.Less(t, calls.Swap(0), int64(12))
		b.deliver(leat.NewLease(), event(t, "slow", "s"))
		time.Sleep(time.Second)
		r.stopClean()
		assert.ElementsMatch(t, []string{"1 back", "slow back"}, b.settlements())
		assert.LessOrEqual(t, calls.Load(), int64(2))
	})
}

// TestAPauseDoesNotCountAfterARedelivery: a lease that ends during the pause makes no difference.
func TestAPauseDoesNotCountAfterARedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		var infos []leat.Info
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			switch infos = append(infos, info); len(infos) {
			case 1:
				return leat.RetryAfter(time.Second, errBoom)
			case 2:
				return leat.Pause(time.Hour, errBoom)
			}
			return nil
		}, nil)
		lease := leat.NewLease()
		b.deliver(lease, event(t, "1", "k"))
		time.Sleep(59 * time.Minute)
		lease.End(errBoom)
		b.deliverRaw(leat.Delivery{Event: event(t, "1", "k"), Lease: leat.NewLease(), Position: leat.Position{ID: "1"}, Deliveries: 2})
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, infos, 3)
		assert.Equal(t, 2, infos[2].Attempt)
		assert.Less(t, time.Since(infos[2].FirstAttempt), time.Hour+2*time.Minute, "the pause took no time of the event")
		r.stopClean()
	})
}

// Where nothing succeeded, nothing is well again: an event that is put off or pauses the Consumer
// stays one that cannot publish, or that keeps failing, in health and in the log.
func TestAnOutcomeThatTellsNothingEndsNoTrouble(t *testing.T) {
	outage := &leat.Error{Op: "publish", Topic: "bills", Code: leat.CodeUnavailable, Err: errBoom}
	for trouble, c := range map[string]struct {
		err    error
		health string
	}{
		"outage":  {outage, `1 event waits, because its handler cannot publish.*boom, since 2000-01-01T00:00:00Z`},
		"failing": {errors.New("no row"), `1 event keeps failing .*no row`},
	} {
		for verdict, nothing := range map[string]error{
			"postpone": leat.Postpone(time.Hour, errBoom), "pause": leat.Pause(time.Hour, errBoom),
		} {
			t.Run(trouble+" and "+verdict, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, log := newFakeBroker(), newLogged()
					outcomes := []error{c.err, nothing, nothing, c.err, nil}
					r := start(t, b, func(context.Context, leat.Event) error {
						defer func() { outcomes = outcomes[1:] }()
						return outcomes[0]
					}, &leat.ConsumerOptions{Logger: log.logger()})
					b.deliver(leat.NewLease(), event(t, "1", "k"))
					for at := range 2 {
						time.Sleep(59 * time.Minute)
						assert.Regexp(t, c.health, fmt.Sprint(r.consumer.Health().Problems), "in hour %d", at)
					}
					time.Sleep(2 * time.Hour)
					assert.Equal(t, []string{"1 ack"}, b.settlements())
					assert.Equal(t, leat.Health{}, r.consumer.Health())
					r.stopClean()
					ends := 0
					for _, line := range log.lines(t) {
						if strings.Contains(line, "no event waits any more") {
							ends++
							assert.Contains(t, line, "at=2h0m0", "with the success")
						}
					}
					assert.Equal(t, trouble == "outage", ends == 1, "%d", ends)
				})
			})
		}
	}
}
