package leat_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// observedBroker is a broker whose settlements are written down, with what an Observer sees.
type observedBroker struct {
	*memory.Broker

	mu  sync.Mutex
	log []string
	bad []string // what no Observation should be
}

func (b *observedBroker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.Broker.Subscribe(ctx, sub)
	if err != nil {
		return nil, err
	}
	return &observedStream{s, b}, nil
}

func (b *observedBroker) seen(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, fmt.Sprintf(format, args...))
}

// take returns what was seen since the last call.
func (b *observedBroker) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := slices.Concat(b.log, b.bad)
	b.log = nil
	return log
}

type observedStream struct {
	leat.Stream

	b *observedBroker
}

func (s *observedStream) Settle(d *leat.Delivery, settlement leat.Settlement) {
	s.b.seen("settle %d", settlement.Action)
	s.Stream.Settle(d, settlement)
}

// Observe implements leat.Observer.
func (b *observedBroker) Observe(o leat.Observation) {
	name := map[leat.ObservationKind]string{
		leat.ObservedAttempt: "attempt", leat.ObservedOutcome: "retry",
		leat.ObservedPoisoned: "poisoned", leat.ObservedPoisonFailed: "poison failed", leat.ObservedStuck: "stuck",
		leat.ObservedGivenBack: "given back", leat.ObservedLost: "lost",
	}[o.Kind]
	if o.Kind == leat.ObservedOutcome {
		switch {
		case o.Skipped:
			name = "skipped"
		case o.Err == nil:
			name = "handled"
		case leat.IsPostponed(o.Err):
			name = "postponed"
		case leat.IsPaused(o.Err):
			name = "pause"
		case leat.IsRejected(o.Err):
			name = "rejected"
		}
	}
	if o.Topic != "orders" || o.Group != "billing" || o.Delivery == nil || o.Event.ID() != o.Delivery.Event.ID() || o.Took < 0 {
		b.mu.Lock()
		b.bad = append(b.bad, fmt.Sprintf("%+v", o))
		b.mu.Unlock()
	}
	text := fmt.Sprintf("%s %d", name, o.Attempt)
	if o.Delay > 0 {
		text += " " + o.Delay.String()
	}
	if o.Err != nil {
		text += ": " + o.Err.Error()
	}
	b.seen("%s", text)
}

func TestObserverSeesEachStepBeforeItsSettlement(t *testing.T) {
	retry := leat.RetryAfter(time.Second, errBoom)
	queue := func(failures int) leat.PoisonQueue {
		return poisonFunc(func(context.Context, leat.Poisoned) error {
			if failures--; failures >= 0 {
				return errBoom
			}
			return nil
		})
	}
	for name, c := range map[string]struct {
		outcomes []error
		poison   leat.PoisonQueue
		want     []string
	}{
		"handled": {[]error{nil}, nil, []string{"attempt 1", "handled 1", "settle 1"}},
		"retried": {
			[]error{retry, nil}, nil,
			[]string{"attempt 1", "retry 1 1s: retry after 1s: boom", "attempt 2", "handled 2", "settle 1"},
		},
		"postponed": {
			[]error{leat.Postpone(time.Second, errBoom), nil}, nil,
			[]string{"attempt 1", "postponed 1 1s: postpone for 1s: boom", "attempt 1", "handled 1", "settle 1"},
		},
		"paused": {
			[]error{leat.Pause(time.Second, errBoom), nil}, nil,
			[]string{"attempt 1", "pause 1 1s: pause for 1s: boom", "attempt 1", "handled 1", "settle 1"},
		},
		"poisoned": {
			[]error{leat.Reject(errBoom)}, queue(1),
			[]string{"attempt 1", "rejected 1: boom", "poison failed 1: boom", "poisoned 1: boom", "settle 1"},
		},
		"stuck": {
			[]error{leat.Reject(errBoom)}, nil,
			[]string{"attempt 1", "rejected 1: boom", "stuck 1: boom", "given back 1", "settle 2"},
		},
		"given back": {
			[]error{leat.RetryAfter(time.Hour, errBoom)}, nil,
			[]string{"attempt 1", "retry 1 1h0m0s: retry after 1h0m0s: boom", "given back 1", "settle 2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &observedBroker{Broker: memory.New(nil)}
				r := start(t, b, func(ctx context.Context, _ leat.Event) error {
					info, _ := leat.InfoFrom(ctx)
					if len(c.outcomes) > 1 {
						defer func() { c.outcomes = c.outcomes[1:] }()
					}
					assert.NotZero(t, info.Attempt)
					return c.outcomes[0]
				}, &leat.ConsumerOptions{PoisonQueue: c.poison, Observer: b})
				require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, "1", "k")))
				time.Sleep(time.Minute)
				r.stopClean()
				assert.Equal(t, c.want, b.take())
				require.NoError(t, b.Close())
			})
		})
	}
}

func TestObserverSeesLostLeasesSkippedEventsAndCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &observedBroker{Broker: memory.New(nil)}
		other := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
		router := leat.NewRouter(leat.Route{Type: "com.example.other.v1", Handler: other})
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			info, _ := leat.InfoFrom(ctx)
			switch {
			case e.ID() == "skip":
				return router.Handle(ctx, e)
			case e.ID() == "goexit" && info.Attempt == 1:
				runtime.Goexit()
			case e.ID() == "lost" && info.Deliveries == 1:
				<-ctx.Done()
			}
			return nil
		}, &leat.ConsumerOptions{Middleware: []leat.Middleware{middleware.Retry(nil)}, Observer: b})
		publish := func(ids ...string) []string {
			b.take()
			for _, id := range ids {
				require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, id, "k")))
			}
			time.Sleep(time.Minute)
			return b.take()
		}
		assert.Equal(t, []string{"attempt 1", "skipped 1", "settle 1"}, publish("skip"))
		log := publish("goexit")
		require.Len(t, log, 5)
		assert.Contains(t, log[1], "retry 1 ")
		assert.Equal(t, []string{"attempt 2", "handled 2", "settle 1"}, log[2:])
		assert.Equal(t, []string{"attempt 1"}, publish("lost", "behind it"))
		require.NoError(t, b.ExpireLeases("orders", "billing"))
		time.Sleep(time.Minute)
		var lost, others []string
		for _, seen := range b.take() { // the losses are told by another goroutine than what follows
			if strings.HasPrefix(seen, "lost") {
				lost = append(lost, seen)
			} else {
				others = append(others, seen)
			}
		}
		assert.ElementsMatch(t, []string{"lost 0", "lost 1"}, lost)
		assert.Equal(t, []string{"attempt 1", "handled 1", "settle 1", "attempt 1", "handled 1", "settle 1"}, others)
		r.stopClean()
		require.NoError(t, b.Close())
	})
}

// A Producer's Observer sees the outcome of each event once, also of those that never reach the
// broker, with the topic and the time.
func TestObserverOfAProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.publish = func(_ context.Context, topic string, events []leat.Event, done func(i int, err error)) {
			for i, e := range events {
				time.Sleep(time.Second)
				if e.ID() == "fails" {
					done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: errBoom})
				} else {
					done(i, nil)
					done(i, nil) // an adapter that reports twice
				}
			}
		}
		var log []string
		p := leat.NewProducer(b, &leat.ProducerOptions{Observer: observerFunc(func(o leat.Observation) {
			assert.Equal(t, leat.ObservedPublish, o.Kind)
			assert.Nil(t, o.Delivery)
			log = append(log, fmt.Sprintf("%s %s%s %v %v", o.Topic, o.Group, o.Event.ID(), leat.CodeOf(o.Err), o.Took))
		})})
		bad := event(t, "bad", "").WithExtension("BAD", "x")
		require.Error(t, p.Publish(t.Context(), "orders", event(t, "stored", ""), bad, event(t, "fails", "")))
		assert.Equal(t, []string{"orders bad invalid 0s", "orders stored " + leat.Code(0).String() + " 1s", "orders fails unavailable 2s"}, log)
		log = nil
		p.PublishAsync(t.Context(), "orders", func(leat.Event, error) { log = append(log, "done") }, event(t, "stored", ""))
		assert.Equal(t, []string{"orders stored " + leat.Code(0).String() + " 1s", "done"}, log, "it is told first")
	})
}

type observerFunc func(leat.Observation)

func (f observerFunc) Observe(o leat.Observation) { f(o) }
