package leat_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assigning is a broker whose streams wait for an assignment.
type assigning struct {
	*fakeBroker

	after time.Duration
}

func (b assigning) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.fakeBroker.Subscribe(ctx, sub)
	return assignedStream{s, time.Now().Add(b.after)}, err
}

type assignedStream struct {
	leat.Stream

	at time.Time
}

func (s assignedStream) Assigned() bool { return !time.Now().Before(s.at) }

// ended returns how long RunUntilIdle took, in fake time.
func ended(t *testing.T, b leat.Broker, idle time.Duration, h leat.HandlerFunc, o *leat.ConsumerOptions) time.Duration {
	t.Helper()
	began := time.Now()
	require.NoError(t, leat.RunUntilIdle(t.Context(), idle, leat.NewConsumer(b, testSub, h, o)))
	return time.Since(began)
}

func TestRunUntilIdleEnds(t *testing.T) {
	const idle = time.Second
	done := func(context.Context, leat.Event) error { return nil }
	cases := map[string]struct {
		least   time.Duration // before which it must not end
		broker  func(t *testing.T) leat.Broker
		handler leat.HandlerFunc
	}{
		"with nothing to do": {broker: func(*testing.T) leat.Broker { return newFakeBroker() }},
		"when the assignment is there": {least: 5 * time.Second, broker: func(*testing.T) leat.Broker {
			return assigning{newFakeBroker(), 5 * time.Second}
		}},
		"after what comes late": {least: 900 * time.Millisecond, broker: func(t *testing.T) leat.Broker {
			b := newFakeBroker()
			time.AfterFunc(900*time.Millisecond, func() { b.deliver(leat.NewLease(), event(t, "late", "")) })
			return b
		}},
		"after a slow handler": {least: 5 * time.Second, broker: delivering(1), handler: func(context.Context, leat.Event) error {
			time.Sleep(5 * time.Second)
			return nil
		}},
		"after a retry that was parked": {least: 5 * time.Second, broker: delivering(1), handler: once(func() error {
			return leat.RetryAfter(5*time.Second, errBoom)
		})},
		"after a pause": {least: 5 * time.Second, broker: delivering(3), handler: once(func() error {
			return leat.Pause(5*time.Second, errBoom)
		})},
		"when the stream is well": {least: 5 * time.Second, broker: func(*testing.T) leat.Broker {
			b := newFakeBroker()
			b.health = errBoom
			time.AfterFunc(5*time.Second, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.health = nil
			})
			return b
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.handler == nil {
					c.handler = done
				}
				took := ended(t, c.broker(t), idle, c.handler, nil)
				require.GreaterOrEqual(t, took, c.least+idle)
				require.LessOrEqual(t, took, c.least+idle+3*idle/10)
			})
		})
	}
}

func delivering(n int) func(t *testing.T) leat.Broker {
	return func(t *testing.T) leat.Broker {
		b := newFakeBroker()
		for i := range n {
			b.deliver(leat.NewLease(), event(t, fmt.Sprint(i), ""))
		}
		return b
	}
}

// once returns a handler that returns what f does the first time.
func once(f func() error) leat.HandlerFunc {
	called := make(chan struct{}, 1)
	return func(context.Context, leat.Event) error {
		select {
		case called <- struct{}{}:
			return f()
		default:
			return nil
		}
	}
}

// While the poison queue is down, its Consumer is not idle, and neither is the Run.
func TestADownPoisonQueueIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(time.Minute)
		b := delivering(1)(t)
		took := ended(t, b, time.Second, func(context.Context, leat.Event) error { return leat.Reject(errBoom) },
			&leat.ConsumerOptions{PoisonQueue: downUntil(up)})
		require.GreaterOrEqual(t, took, time.Minute)
	})
}

type downUntil time.Time

func (d downUntil) Poison(context.Context, leat.Poisoned) error {
	if time.Now().Before(time.Time(d)) {
		return errors.New("down")
	}
	return nil
}

func (d downUntil) Topic(leat.Subscription) string { return "" }

// Events that stay unsettled keep it from nothing: it ends with an error that counts them.
func TestRunUntilIdleEndsWithWhatIsStuck(t *testing.T) {
	reject := leat.HandlerFunc(func(context.Context, leat.Event) error { return leat.Reject(errBoom) })
	refuse := poisonFunc(func(context.Context, leat.Poisoned) error {
		return &leat.Error{Op: "publish", Code: leat.CodeTooLarge, Err: errBoom}
	})
	for name, c := range map[string]struct {
		queue leat.PoisonQueue
		want  string
	}{
		"without a poison queue": {nil, "3 events stay unsettled and went back to the broker: 2 rejected, and there is no poison queue"},
		"refused by the poison queue": {refuse, "3 events stay unsettled and went back to the broker: 2 refused by the poison queue; " +
			"raise the size"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				b.deliver(leat.NewLease(), batchEvents(t, "a1 a2 b1")...)
				began := time.Now()
				err := leat.RunUntilIdle(t.Context(), time.Second, leat.NewConsumer(b, testSub, reject, &leat.ConsumerOptions{PoisonQueue: c.queue}))
				require.ErrorContains(t, err, c.want)
				require.Equal(t, leat.CodePoisonQueue, leat.CodeOf(err))
				require.Less(t, time.Since(began), time.Minute)
				require.ElementsMatch(t, []string{"a1 back", "a2 back", "b1 back"}, b.settlements())
			})
		})
	}
}

// All consumers have to be idle, and everything that the topics had is handled then.
func TestRunUntilIdleDrainsSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		defer func() { assert.NoError(t, b.Close()) }()
		handled := 0
		h := leat.HandlerFunc(func(context.Context, leat.Event) error {
			handled++
			return nil
		})
		var consumers []*leat.Consumer
		for _, topic := range []string{"one", "two"} {
			sub := leat.Subscription{Topic: topic, Group: "g"}
			require.NoError(t, leat.Declare(t.Context(), b, sub))
			consumers = append(consumers, leat.NewConsumer(b, sub, h, &leat.ConsumerOptions{Concurrency: 1}))
		}
		p := leat.NewProducer(b, nil)
		for i := range 50 {
			require.NoError(t, p.Publish(t.Context(), []string{"one", "two"}[i%2], event(t, fmt.Sprint(i), "k")))
		}
		consumers = consumers[:2]
		require.NoError(t, leat.RunUntilIdle(t.Context(), time.Second, consumers[0]))
		require.NoError(t, leat.RunUntilIdle(t.Context(), time.Second, consumers[1]))
		require.Equal(t, 50, handled)
		require.NoError(t, leat.RunUntilIdle(t.Context(), time.Second, consumers...))
	})
}

func TestRunUntilIdleReturnsWhatRunDoes(t *testing.T) {
	b := newFakeBroker()
	c := leat.NewConsumer(b, testSub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil)
	require.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.RunUntilIdle(t.Context(), 0, c)))
	require.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.RunUntilIdle(t.Context(), time.Second, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, leat.RunUntilIdle(ctx, time.Second, c))
}
