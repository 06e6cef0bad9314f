package leat_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type valueKey struct{}

// leaseContexts runs handlers under a lease until they have what they want of their contexts, and
// ends it then.
func leaseContexts(t *testing.T, cause error, n int, h func(ctx context.Context, ended <-chan struct{})) {
	t.Helper()
	b, lease := newFakeBroker(), leat.NewLease()
	for i := range n {
		b.deliver(lease, event(t, string(rune('a'+i)), ""))
	}
	over := make(chan struct{})
	consumer := leat.NewConsumer(b, testSub, leat.HandlerFunc(func(ctx context.Context, _ leat.Event) error {
		h(ctx, over)
		return ctx.Err()
	}), nil)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "of Run"))
	result := make(chan error, 1)
	go func() { result <- leat.Run(ctx, consumer) }()
	synctest.Wait()
	lease.End(cause)
	close(over)
	synctest.Wait()
	cancel()
	require.NoError(t, <-result)
	assert.Empty(t, b.settlements())
}

// Whatever a handler asks its context first, and when, it is one context: with a cause, children
// and the values of Run's.
func TestContextOfALeaseThatEnds(t *testing.T) {
	lost := func(t *testing.T, ctx context.Context, cause error) {
		t.Helper()
		assert.Equal(t, context.Canceled, ctx.Err())
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), leat.ErrLeaseLost)
		if cause != nil {
			require.ErrorIs(t, context.Cause(ctx), cause)
		}
		assert.Equal(t, "of Run", ctx.Value(valueKey{}))
		_, ok := ctx.Deadline()
		assert.False(t, ok)
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		assert.ErrorIs(t, context.Cause(child), leat.ErrLeaseLost, "a child that is made late has ended, too")
	}
	for name, first := range map[string]func(t *testing.T, ctx context.Context, ended <-chan struct{}){
		"nothing": func(_ *testing.T, _ context.Context, ended <-chan struct{}) { <-ended },
		"Done":    func(_ *testing.T, ctx context.Context, _ <-chan struct{}) { <-ctx.Done() },
		"Err": func(t *testing.T, ctx context.Context, ended <-chan struct{}) {
			assert.NoError(t, ctx.Err())
			<-ended
		},
		"Value": func(t *testing.T, ctx context.Context, ended <-chan struct{}) {
			assert.Equal(t, "of Run", ctx.Value(valueKey{}))
			<-ended
		},
		"Cause": func(t *testing.T, ctx context.Context, ended <-chan struct{}) {
			assert.NoError(t, context.Cause(ctx))
			<-ended
		},
		"child": func(t *testing.T, ctx context.Context, _ <-chan struct{}) {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-child.Done()
			assert.Equal(t, context.Canceled, child.Err())
			assert.ErrorIs(t, context.Cause(child), leat.ErrLeaseLost)
		},
		"AfterFunc": func(_ *testing.T, ctx context.Context, _ <-chan struct{}) {
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			<-called
		},
	} {
		for _, cause := range []error{nil, errBoom} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					leaseContexts(t, cause, 1, func(ctx context.Context, ended <-chan struct{}) {
						first(t, ctx, ended)
						lost(t, ctx, cause)
					})
				})
			})
		}
	}
}

// Children of a handler's context cost no goroutine each, as those of the standard library's
// contexts do not.
func TestChildrenOfAHandlersContextCostNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leaseContexts(t, errBoom, 1, func(ctx context.Context, _ <-chan struct{}) {
			before := runtime.NumGoroutine()
			var children []context.Context
			for range 100 {
				child, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				children = append(children, child)
			}
			assert.Less(t, runtime.NumGoroutine()-before, 100)
			for _, child := range children {
				<-child.Done()
			}
		})
	})
}

// Err does not say that a context has ended whose channel is open, however they race.
func TestContextOfALeaseThatEndsMeanwhile(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			leaseContexts(t, errBoom, 8, func(ctx context.Context, ended <-chan struct{}) {
				var wg sync.WaitGroup
				wg.Go(func() {
					<-ctx.Done()
					assert.Error(t, ctx.Err())
				})
				wg.Go(func() {
					for ctx.Err() == nil {
						runtime.Gosched()
						select {
						case <-ended:
						case <-time.After(time.Millisecond):
						}
					}
					select {
					case <-ctx.Done():
					default:
						t.Error("Err says that it has ended, and Done is open")
					}
				})
				wg.Wait()
			})
		})
	}
}
