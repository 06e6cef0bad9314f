package leat_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreignError is an error that looks at the Consumer when it is looked into.
type foreignError struct{ look func() }

func (e foreignError) Error() string {
	e.look()
	return "foreign"
}

func (e foreignError) Unwrap() error {
	e.look()
	return nil
}

// TestForeignErrorsAreReadWithoutTheLock: an error of a poison queue or of a publish is foreign
// code, which may take its time and may call the Consumer. The test is in no bubble, whose time
// stands still while somebody waits for a lock.
func TestForeignErrorsAreReadWithoutTheLock(t *testing.T) {
	var consumer atomic.Pointer[leat.Consumer]
	foreign := foreignError{func() {
		free := make(chan struct{})
		go func() {
			defer close(free)
			consumer.Load().Stats()
		}()
		select {
		case <-free:
		case <-time.After(5 * time.Second):
			t.Error("the lock is held while foreign code runs")
		}
	}}
	tooLarge := &leat.Error{Op: "store", Code: leat.CodeTooLarge, Err: foreign}
	for name, c := range map[string]struct{ handler, queue error }{
		"poison queue that is down":    {leat.Reject(errBoom), foreign},
		"poison queue that refuses":    {leat.Reject(errBoom), tooLarge},
		"publish of a handler":         {&leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: foreign}, nil},
		"what a handler is failing by": {foreign, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFakeBroker()
			ctx, stop := context.WithCancel(t.Context())
			consumer.Store(leat.NewConsumer(b, testSub, leat.HandlerFunc(func(context.Context, leat.Event) error { return c.handler }),
				&leat.ConsumerOptions{PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return c.queue })}))
			result := make(chan error, 1)
			go func() { result <- leat.Run(ctx, consumer.Load()) }()
			b.deliver(leat.NewLease(), event(t, "1", "k"))
			assert.Eventually(t, func() bool {
				h := consumer.Load().Health()
				return len(h.Problems) == 1 && !strings.Contains(h.Problems[0].Error(), "not subscribed")
			}, 30*time.Second, time.Millisecond)
			stop()
			require.NoError(t, <-result)
		})
	}
}

// nilError is an error whose nil pointer panics when it is looked into.
type nilError struct{ err error }

func (e *nilError) Error() string { return e.err.Error() }

func (e *nilError) Unwrap() error { return e.err }

// TestANilErrorOfThePoisonQueueEndsNoProcess: a nil pointer as an error panics where somebody looks
// into it.
func TestANilErrorOfThePoisonQueueEndsNoProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		failing := true
		r := start(t, b, func(context.Context, leat.Event) error { return leat.Reject(errBoom) }, &leat.ConsumerOptions{
			PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
				if failing {
					failing = false
					return (*nilError)(nil)
				}
				return nil
			}),
		})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		synctest.Wait()
		h := r.consumer.Health()
		require.Len(t, h.Problems, 1)
		assert.ErrorContains(t, h.Problems[0], "panicked")
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		r.stopClean()
	})
}

// TestANilErrorOfAPublishIsUnknown: a nil pointer as an error panics where somebody looks into it,
// with no lock held.
func TestANilErrorOfAPublishIsUnknown(t *testing.T) {
	b := newFakeBroker()
	b.publish = func(_ context.Context, _ string, _ []leat.Event, done func(int, error)) { done(0, (*nilError)(nil)) }
	p := leat.NewProducer(b, nil)
	var err error
	require.NotPanics(t, func() { err = p.Publish(t.Context(), "orders", event(t, "1", "k")) })
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(err))
	assert.ErrorContains(t, err, "panicked")
	require.NoError(t, p.Close(t.Context()))
}
