package leat_test

import (
	"context"
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

// A process that is told to stop while a suspect runs, and is killed then because that takes too
// long, has not been ended by the suspect.
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

// One run that ended with the process proves nothing: somebody may have killed it. And what was
// handled since is forgotten.
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

// While their runs cannot be noted, suspects wait, others go on, health says so, and nothing is
// poisoned.
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

// A note whose outcome is unknown is stored, and the run never began. The process lives, so the run
// must not count.
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

// A run is back as soon as its lease is lost, although its handler goes on: what ends the process
// later is not its doing alone.
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

// Two runs that are noted may be those of processes that live, and only lost their connections.
// They get the time to say so. What a process says after another one has begun its turn is late.
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
