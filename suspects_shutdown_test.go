package leat_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asSuspect makes a suspect of each event from the first delivery on.
const asSuspect = 10

// A process that is told to stop while a suspect runs, and is killed then because that takes too long, has not been ended by the suspect.
func TestAKillAfterTheBeginOfTheShutdownDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.publish(event(t, "1", "k"))
		for range 5 {
			l, r := g.process(asSuspect, func(ctx context.Context, _ leat.Event) error {
				<-ctx.Done()
				return ctx.Err()
			})
			time.Sleep(5 * time.Second)
			require.Equal(t, 1, r.consumer.Stats().Running)
			r.cancel()
			time.Sleep(time.Second) // far less than the ShutdownTimeout
			r.kill(l)
		}
		_, r := g.process(asSuspect, func(context.Context, leat.Event) error { return nil })
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, r.consumer.Stats().Handled)
		r.stopClean()
		assert.Empty(t, g.poisonedIDs())
	})
}

// One run that ended with the process proves nothing: somebody may have killed it. And what was handled since is forgotten.
func TestOneRunThatDidNotComeBackPoisonsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		for range 3 { // the same event, published again each time
			g.publish(event(t, "1", "k"))
			l, r := g.process(asSuspect, func(ctx context.Context, _ leat.Event) error {
				<-ctx.Done()
				return ctx.Err()
			})
			time.Sleep(5 * time.Second)
			r.kill(l)
			_, r = g.process(asSuspect, func(context.Context, leat.Event) error { return nil })
			time.Sleep(5 * time.Second)
			assert.EqualValues(t, 1, r.consumer.Stats().Handled)
			r.stopClean()
		}
		assert.Empty(t, g.poisonedIDs())
	})
}

// While their runs cannot be noted, suspects wait, others go on, health says so, and nothing is poisoned.
func TestSuspectsWaitWhileTheirRunsCannotBeNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		var down atomic.Bool
		down.Store(true)
		b := newNoteless(newLife(g.broker, 0), &down)
		g.publish(event(t, "1", "k"), event(t, "2", "k"), event(t, "3", "other"))
		var mu sync.Mutex
		var ran []string
		o := g.o
		o.MaxDeliveries = 1
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, e.ID())
			return nil
		}, &o)
		time.Sleep(time.Second)
		mu.Lock()
		require.Len(t, ran, 3, "first deliveries are no suspects")
		mu.Unlock()
		b.deliveries.Store(asSuspect)
		g.publish(event(t, "4", "k"))
		time.Sleep(time.Hour)
		h := r.consumer.Health()
		assert.Equal(t, leat.Degraded, h.State)
		assert.Len(t, h.Problems, 2)
		assert.ErrorContains(t, h.Problems[1], `topic "orders.billing.suspects" cannot note their runs`)
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(h.Problems[1]))
		assert.Equal(t, 1, r.consumer.Stats().Suspects)
		mu.Lock()
		assert.Len(t, ran, 3)
		mu.Unlock()
		down.Store(false)
		time.Sleep(time.Minute)
		mu.Lock()
		assert.Equal(t, "4", ran[len(ran)-1])
		mu.Unlock()
		assert.Equal(t, leat.Health{}, r.consumer.Health())
		r.stopClean()
		assert.Empty(t, g.poisonedIDs())
	})
}

// noteless is a life that cannot reach the topic of notes while down is set.
type noteless struct {
	*life

	down *atomic.Bool
}

func newNoteless(l *life, down *atomic.Bool) *noteless { return &noteless{l, down} }

func (n *noteless) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if n.down.Load() && strings.HasSuffix(topic, ".suspects") {
		for i := range events {
			done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnavailable, Err: errBoom})
		}
		return
	}
	n.life.Publish(ctx, topic, events, done)
}

// A note whose outcome is unknown is stored, and the run never began. The process lives, so the run must not count.
func TestANoteOfUnknownOutcomeDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.publish(event(t, "1", "k"))
		l := newLife(g.broker, asSuspect)
		b := &forgetful{life: l}
		o := g.o
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, &o)
		time.Sleep(time.Hour)
		assert.Greater(t, b.unknown.Load(), int64(3))
		assert.Zero(t, r.consumer.Stats().Handled)
		b.healed.Store(true)
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, r.consumer.Stats().Handled)
		r.stopClean()
		assert.Empty(t, g.poisonedIDs())
	})
}

// forgetful stores the states of the notes and reports an unknown outcome.
type forgetful struct {
	*life

	healed  atomic.Bool
	unknown atomic.Int64
}

func (f *forgetful) Publish(ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
	if f.healed.Load() || !strings.HasSuffix(topic, ".suspects") || !strings.Contains(events[0].DataString(), `"state"`) {
		f.life.Publish(ctx, topic, events, done)
		return
	}
	f.life.Publish(ctx, topic, events, func(i int, _ error) {
		f.unknown.Add(1)
		done(i, &leat.Error{Op: "publish", Topic: topic, Code: leat.CodeUnknown, Err: errBoom})
	})
}

// Whatever a handler does that leaves the process alive, its run came back.
func TestARunThatFailsCameBack(t *testing.T) {
	for name, fail := range map[string]func(ctx context.Context) error{
		"error":         func(context.Context) error { return errBoom },
		"panic":         func(context.Context) error { panic("boom") },
		"Goexit":        func(context.Context) error { runtime.Goexit(); return nil },
		"pause":         func(context.Context) error { return leat.Pause(time.Second, errBoom) },
		"outage":        func(context.Context) error { return &leat.Error{Op: "publish", Code: leat.CodeUnavailable} },
		"delay":         func(context.Context) error { return leat.RetryAfter(2*time.Minute, errBoom) },
		"lost lease":    func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"unkeyed delay": func(context.Context) error { return leat.RetryAfter(2*time.Minute, errBoom) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, 3)
				key := "k"
				if name == "unkeyed delay" {
					key = ""
				}
				g.publish(event(t, "1", key), event(t, "2", key))
				var calls atomic.Int64
				_, r := g.process(asSuspect, func(ctx context.Context, _ leat.Event) error {
					if calls.Add(1) < 10 {
						return fail(ctx)
					}
					return nil
				})
				for range 100 {
					time.Sleep(time.Minute)
					if name == "lost lease" && r.consumer.Stats().Running > 0 {
						require.NoError(t, g.broker.ExpireLeases(testSub.Topic, testSub.Group))
					}
				}
				s := r.consumer.Stats()
				assert.EqualValues(t, 2, s.Handled)
				assert.Zero(t, s.Suspects)
				assert.Equal(t, leat.Health{}, r.consumer.Health())
				r.stopClean()
				assert.Empty(t, g.poisonedIDs())
			})
		})
	}
}

// Without a poison queue, the event that ends the process stays unsettled and is not run any more.
func TestACondemnedSuspectWithoutPoisonQueueIsNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.o.PoisonQueue = nil
		g.publish(event(t, "1", "k"), event(t, "2", "other"))
		var runs atomic.Int64
		h := func(ctx context.Context, e leat.Event) error {
			if e.ID() == "2" {
				return nil
			}
			runs.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}
		for range 4 {
			l, r := g.process(asSuspect, h)
			time.Sleep(time.Minute)
			if runs.Load() == 2 && r.consumer.Stats().Running == 0 {
				assert.Len(t, r.consumer.Health().Problems, 2)
			}
			r.kill(l)
		}
		assert.EqualValues(t, 2, runs.Load())
	})
}

// MaxDeliveries is refused where it cannot be held.
func TestMaxDeliveriesIsRefusedWithoutACount(t *testing.T) {
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	for name, c := range map[string]struct {
		caps leat.Capabilities
		sub  leat.Subscription
	}{
		"no count":  {leat.Capabilities{Order: leat.OrderPerGroup}, testSub},
		"broadcast": {leat.Capabilities{Broadcast: true, DeliveryCount: true}, leat.Subscription{Topic: "orders", Broadcast: true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker()
			b.caps = c.caps
			err := leat.Run(t.Context(), leat.NewConsumer(b, c.sub, h, &leat.ConsumerOptions{MaxDeliveries: 3}))
			assert.Equal(t, leat.CodeUnsupported, leat.CodeOf(err))
			assert.ErrorContains(t, err, "set it to 0")
			assert.True(t, b.closed, "the stream")
		})
	}
}

// The topics of two groups differ, also where one's name has dots.
func TestTopicsOfSuspectsDiffer(t *testing.T) {
	topics := map[string]bool{}
	for _, sub := range []leat.Subscription{
		{Topic: "orders", Group: "eu.billing"}, {Topic: "orders.eu", Group: "billing"}, {Topic: "a", Group: "b.c.d"},
		{Topic: "a.b", Group: "c.d"}, {Topic: "a.b.c", Group: "d"},
	} {
		b := newFakeBroker()
		b.declare = func(subs []leat.Subscription) error {
			for _, s := range subs {
				if s.Topic != sub.Topic {
					topics[s.Topic] = true
					assert.Equal(t, sub.Group, s.Group)
				}
			}
			return errors.New("enough")
		}
		_ = leat.Run(t.Context(), leat.NewConsumer(b, sub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
			&leat.ConsumerOptions{MaxDeliveries: 3}))
	}
	assert.Len(t, topics, 5, "%v", topics)
}

// A suspect runs alone among all consumers of one Run: what another one's handler does to the process would be blamed on it.
func TestASuspectRunsAloneInItsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		other := leat.Subscription{Topic: "invoices", Group: "billing"}
		require.NoError(t, leat.Declare(t.Context(), g.broker, other))
		p := leat.NewProducer(g.broker, nil)
		for i := range 20 {
			g.publish(event(t, fmt.Sprint(i), ""))
			require.NoError(t, p.Publish(t.Context(), other.Topic, event(t, fmt.Sprint("o", i), "")))
		}
		var mu sync.Mutex
		suspects, others, together, handled := 0, 0, 0, 0
		work := func(n *int) leat.HandlerFunc {
			return func(context.Context, leat.Event) error {
				mu.Lock()
				*n++
				if suspects > 1 || suspects == 1 && others > 0 {
					together++
				}
				mu.Unlock()
				time.Sleep(300 * time.Millisecond)
				mu.Lock()
				*n--
				handled++
				mu.Unlock()
				return nil
			}
		}
		o := g.o
		o.Concurrency = 2
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() {
			over <- leat.Run(ctx,
				leat.NewConsumer(newLife(g.broker, asSuspect), testSub, work(&suspects), &o),
				leat.NewConsumer(newLife(g.broker, asSuspect), testSub, work(&suspects), &o), // a member of the same group
				leat.NewConsumer(g.broker, other, work(&others), &leat.ConsumerOptions{Concurrency: 2}))
		}()
		time.Sleep(10 * time.Minute)
		cancel()
		require.NoError(t, <-over)
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 40, handled)
		assert.Zero(t, together)
		assert.Empty(t, g.poisonedIDs())
	})
}

// A handler that waits for another event to be handled must not wait for a suspect that waits for it.
func TestASuspectDoesNotHoldUpWhatAHandlerWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		l := newLife(g.broker, 0)
		o := g.o
		answered := make(chan struct{})
		var suspect atomic.Bool
		r := start(t, l, func(_ context.Context, e leat.Event) error {
			switch e.ID() {
			case "asks":
				<-answered
			case "answers":
				close(answered)
			case "suspect":
				suspect.Store(true)
			}
			return nil
		}, &o)
		g.publish(event(t, "asks", ""))
		synctest.Wait()
		l.deliveries.Store(asSuspect)
		g.publish(event(t, "suspect", ""))
		time.Sleep(time.Second)
		l.deliveries.Store(0)
		g.publish(event(t, "answers", ""))
		time.Sleep(time.Minute)
		assert.True(t, suspect.Load())
		assert.EqualValues(t, 3, r.consumer.Stats().Handled)
		r.stopClean()
	})
}

// A run is back as soon as its lease is lost, although its handler goes on: what ends the process later is not its doing alone.
func TestARunThatLostItsLeaseCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 3)
		g.publish(event(t, "1", "k"))
		for range 3 {
			free := make(chan struct{})
			l, r := g.process(asSuspect, func(context.Context, leat.Event) error {
				<-free
				return nil
			})
			time.Sleep(5 * time.Second)
			require.Equal(t, 1, r.consumer.Stats().Running)
			require.NoError(t, g.broker.ExpireLeases(testSub.Topic, testSub.Group))
			time.Sleep(5 * time.Second)
			l.crash()
			close(free)
			r.kill(l)
		}
		_, r := g.process(asSuspect, func(context.Context, leat.Event) error { return nil })
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, r.consumer.Stats().Handled)
		r.stopClean()
		assert.Empty(t, g.poisonedIDs())
	})
}

// Two runs that are noted may be those of processes that live, and only lost their connections. They get the time to say so. What a process
// says after another one has begun its turn is late.
func TestASuspectWaitsForTheOthersBeforeItIsPoisoned(t *testing.T) {
	for name, c := range map[string]struct {
		notes   []string
		handled int64
		poison  []string
	}{
		"they say so": {[]string{`{"kind":"begin","session":"another"}`, `{"kind":"state","session":"another"}`}, 1, []string{}},
		"too late":    {[]string{`{"kind":"begin","session":"another"}`, `{"kind":"state","session":"older"}`}, 0, []string{"1"}},
		"nobody does": {nil, 0, []string{"1"}},
		"nonsense":    {[]string{`{"kind":`, `[]`, `{"kind":"x"}`}, 0, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroup(t, 3)
				g.publish(event(t, "1", "k"))
				for range 2 {
					l, r := g.process(asSuspect, func(ctx context.Context, _ leat.Event) error {
						<-ctx.Done()
						return ctx.Err()
					})
					time.Sleep(5 * time.Second)
					require.Equal(t, 1, r.consumer.Stats().Running)
					r.kill(l)
				}
				_, r := g.process(asSuspect, func(context.Context, leat.Event) error { return nil })
				time.Sleep(5 * time.Second)
				require.Equal(t, 1, r.consumer.Stats().Parked)
				for _, note := range c.notes {
					e, err := leat.NewEvent("leat.suspects.v1", &leat.EventOptions{Source: "/leat", Key: "suspects", Data: []byte(note)})
					require.NoError(t, err)
					require.NoError(t, leat.NewProducer(g.broker, nil).Publish(t.Context(), "orders.billing.suspects", e))
				}
				time.Sleep(10 * time.Second)
				assert.Equal(t, c.handled, r.consumer.Stats().Handled)
				r.stopClean()
				assert.Equal(t, c.poison, g.poisonedIDs())
			})
		})
	}
}
