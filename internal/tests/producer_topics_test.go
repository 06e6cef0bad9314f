package leat_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProducerDeclaresItsTopicsAtTheFirstPublish(t *testing.T) {
	b := newFakeBroker()
	var declared [][]leat.Subscription
	b.declare = func(subs []leat.Subscription) error {
		declared = append(declared, subs)
		return nil
	}
	p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders", "refunds"}})
	require.NoError(t, p.Publish(t.Context(), "orders"))
	require.NoError(t, p.Flush(t.Context()))
	assert.Empty(t, declared, "nothing was published yet")
	for range 3 {
		require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
		require.NoError(t, p.Publish(t.Context(), "another", event(t, "2", "")))
	}
	require.Len(t, declared, 1)
	assert.Equal(t, []leat.Subscription{
		leat.Subscription{Topic: "orders"}.WithDefaults(), leat.Subscription{Topic: "refunds"}.WithDefaults(),
	}, declared[0])
}

func TestProducerTopicsAreChecked(t *testing.T) {
	b := newFakeBroker()
	b.declare = func([]leat.Subscription) error { return errors.New("called") }
	p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders", "no spaces"}})
	err := p.Publish(t.Context(), "orders", event(t, "1", ""))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	assert.ErrorContains(t, err, "ProducerOptions.Topics[1] ")
}

// A failure refuses what is published, each event with its cause, and the next publish tries again.
func TestProducerTopicsThatCannotBeDeclared(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code leat.Code
	}{
		"down":    {&leat.Error{Op: "declare", Code: leat.CodeUnavailable, Err: errBoom}, leat.CodeUnavailable},
		"denied":  {&leat.Error{Op: "declare", Code: leat.CodePermissionDenied, Err: errBoom}, leat.CodePermissionDenied},
		"unknown": {&leat.Error{Op: "declare", Code: leat.CodeUnknown, Err: errBoom}, leat.CodeUnavailable},
		"no code": {errBoom, leat.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker()
			calls := 0
			b.declare = func([]leat.Subscription) error {
				if calls++; calls == 3 {
					return nil
				}
				return c.err
			}
			b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
				assert.Equal(t, 3, calls, "nothing reaches the broker before")
				for i := range events {
					done(i, nil)
				}
			}
			p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
			failed := publishError(t, p.Publish(t.Context(), "orders", event(t, "1", ""), event(t, "2", "")))
			require.Len(t, failed.Failures, 2)
			for _, f := range failed.Failures {
				assert.Equal(t, c.code, leat.CodeOf(f.Err))
				require.ErrorIs(t, f.Err, errBoom)
				require.ErrorContains(t, f.Err, "ProducerOptions.Topics cannot be declared")
			}
			assert.Equal(t, []string{"1", "2"}, idsOf(failed.Refused()))
			assert.Equal(t, c.code == leat.CodeUnavailable, leat.IsOutage(failed))

			var async error
			p.PublishAsync(t.Context(), "orders", func(_ leat.Event, err error) { async = err }, event(t, "3", ""))
			assert.Equal(t, c.code, leat.CodeOf(async))
			require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
			assert.Equal(t, 3, calls)
			require.NoError(t, p.Close(t.Context()))
		})
	}
}

// Publishes at the same time wait for one declaration, each as long as its own ctx lasts, and share
// its outcome.
func TestProducerTopicsAreDeclaredOnceForAll(t *testing.T) {
	for name, fails := range map[string]bool{"well": false, "failing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &slowDeclarer{fakeBroker: newFakeBroker(), takes: time.Second}
				if fails {
					b.err = errBoom
				}
				p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 50 {
					wg.Go(func() {
						err := p.Publish(t.Context(), "orders", event(t, fmt.Sprint(i), ""))
						assert.Equal(t, fails, err != nil, "%v", err)
					})
				}
				wg.Wait()
				assert.Equal(t, time.Second, time.Since(began))
				assert.EqualValues(t, 1, b.calls.Load())
			})
		})
	}
}

// Each publish waits as long as its own ctx lasts, and what ends one ctx is no news for the others:
// the attempt goes on.
func TestProducerTopicsAreBoundByTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowDeclarer{fakeBroker: newFakeBroker(), takes: 20 * time.Second}
		p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
		began := time.Now()
		publish := func(patience time.Duration) (time.Duration, error) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errBoom)
			defer cancel()
			err := p.Publish(ctx, "orders", event(t, "1", ""))
			return time.Since(began), err
		}
		var wg sync.WaitGroup
		for _, patience := range []time.Duration{10 * time.Second, 5 * time.Second} {
			wg.Go(func() {
				took, err := publish(patience)
				assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
				assert.ErrorIs(t, err, errBoom)
				assert.Equal(t, patience, took)
			})
			synctest.Wait()
		}
		wg.Go(func() {
			took, err := publish(time.Hour)
			assert.NoError(t, err)
			assert.Equal(t, 20*time.Second, took)
		})
		wg.Wait()
		assert.EqualValues(t, 1, b.calls.Load())
	})
}

// A broker that does not answer the declaration in the time of a publish is an outage, which health
// shows; that a caller gives up before says nothing.
func TestTheHealthOfAProducerWhoseTopicsAreNotDeclaredInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := leat.NewProducer(&slowDeclarer{fakeBroker: newFakeBroker(), takes: time.Hour}, &leat.ProducerOptions{Topics: []string{"orders"}})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := p.Publish(ctx, "orders", event(t, "1", ""))
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "%v", err)
		assert.Equal(t, leat.Health{}, p.Health(), "the caller gave up")

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = p.Publish(ctx, "orders", event(t, "2", ""))
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
		assert.True(t, leat.IsOutage(err))
		assert.Contains(t, problems(t, p.Health(), leat.Degraded), "publishes fail (1 refused, 0 unknown)")
		require.NoError(t, p.Close(t.Context()))
		synctest.Wait()
	})
}

// Publishes that have less patience than the broker takes get their topics all the same.
func TestProducerTopicsAreDeclaredForThoseWithoutPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowDeclarer{fakeBroker: newFakeBroker(), takes: 5 * time.Second}
		p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
		var err error
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = p.Publish(ctx, "orders", event(t, "1", ""))
			cancel()
		}
		require.NoError(t, err)
		assert.EqualValues(t, 1, b.calls.Load())
	})
}

// While the broker is down, attempts back off, however many publishes there are, and each publish
// ends within its own ctx, with what is wrong.
func TestProducerTopicsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := &leat.Error{Op: "declare", Code: leat.CodeUnavailable, Err: errBoom}
		b := &slowDeclarer{fakeBroker: newFakeBroker(), err: down}
		p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
		var wg sync.WaitGroup
		zero := time.Now()
		for i := range 20 {
			wg.Go(func() {
				for time.Since(zero) < 57*time.Second {
					began := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*100*time.Millisecond)
					err := p.Publish(ctx, "orders", event(t, "1", ""))
					cancel()
					assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
					assert.ErrorIs(t, err, errBoom)
					assert.LessOrEqual(t, time.Since(began), time.Duration(i+1)*100*time.Millisecond)
					time.Sleep(100*time.Millisecond - time.Since(began)%(100*time.Millisecond))
				}
			})
		}
		time.Sleep(time.Minute)
		assert.Less(t, b.calls.Load(), int64(30), "5 s at most, half of it by chance")
		assert.Greater(t, b.calls.Load(), int64(10))
		b.set(nil)
		began := time.Now()
		require.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
		assert.LessOrEqual(t, time.Since(began), 5*time.Second)
		wg.Wait()
	})
}

// An attempt has a bound of its own, and one that a panic ends is over.
func TestProducerTopicsOfABrokerThatMisbehaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowDeclarer{fakeBroker: newFakeBroker(), takes: time.Hour}
		p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
		began := time.Now()
		err := p.Publish(t.Context(), "orders", event(t, "1", ""))
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "no answer of the broker in 30s")
		assert.Equal(t, 30*time.Second, time.Since(began))

		panicking := newFakeBroker()
		panicking.declare = func([]leat.Subscription) error { panic("no map") }
		p = leat.NewProducer(panicking, &leat.ProducerOptions{Topics: []string{"orders"}})
		for range 2 {
			assert.ErrorContains(t, p.Publish(t.Context(), "orders", event(t, "1", "")), "the broker's Declare panicked: no map")
		}
	})
}

// Close waits for publishes that wait for their topics, as long as its ctx lasts; then nothing is
// declared any more.
func TestProducerTopicsEndWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowDeclarer{fakeBroker: newFakeBroker(), takes: 20 * time.Second}
		p := leat.NewProducer(b, &leat.ProducerOptions{Topics: []string{"orders"}})
		var err error
		published, e := make(chan struct{}), event(t, "1", "")
		go func() {
			defer close(published)
			err = p.Publish(context.WithoutCancel(t.Context()), "orders", e)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.Equal(t, leat.CodeUnknown, leat.CodeOf(p.Close(ctx)))
		<-published
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(err), "%v", err)
	})
}

// slowDeclarer takes its time to declare.
type slowDeclarer struct {
	*fakeBroker

	takes time.Duration
	calls atomic.Int64

	mu  sync.Mutex
	err error
}

func (b *slowDeclarer) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *slowDeclarer) Declare(ctx context.Context, _ ...leat.Subscription) error {
	b.calls.Add(1)
	timer := time.NewTimer(b.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.err
	case <-ctx.Done():
		return &leat.Error{Op: "declare", Code: leat.CodeCanceled, Err: context.Cause(ctx)}
	}
}

// A broker that has nothing to declare is no trouble.
func TestProducerTopicsOnABrokerThatDeclaresNothing(t *testing.T) {
	p := leat.NewProducer(struct{ leat.Broker }{newFakeBroker()}, &leat.ProducerOptions{Topics: []string{"orders"}})
	assert.NoError(t, p.Publish(t.Context(), "orders", event(t, "1", "")))
}

func TestDeclareOfATopicAlone(t *testing.T) {
	b := newFakeBroker()
	var declared []leat.Subscription
	b.declare = func(subs []leat.Subscription) error {
		declared = subs
		return nil
	}
	require.NoError(t, leat.Declare(t.Context(), b, leat.Subscription{Topic: "orders"}))
	assert.Equal(t, []leat.Subscription{leat.Subscription{Topic: "orders"}.WithDefaults()}, declared)
	for _, sub := range []leat.Subscription{
		{}, {Topic: "a b"}, {Group: "g"}, {Topic: "t", Group: "a b"}, {Topic: "t", Group: "g", Broadcast: true}, {Topic: "t", MaxInFlight: -1},
	} {
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Declare(t.Context(), b, sub)), "%+v", sub)
	}
	h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	err := leat.Run(t.Context(), leat.NewConsumer(b, leat.Subscription{Topic: "orders"}, h, nil))
	assert.ErrorContains(t, err, "Group is empty", "there is nothing to receive from a topic alone")
}
