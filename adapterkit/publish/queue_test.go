package publish_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// drain takes everything out of a queue.
func drain(q *publish.Queue[int]) (ids []string) {
	for e := q.Next(nil); e != nil; e = q.Next(nil) {
		ids = append(ids, e.Event().ID())
	}
	return ids
}

func TestQueueKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var a admitted
		o := offer(t.Context(), t, l, "a", 6, 1, &a)
		e := a.list()
		var q publish.Queue[int]
		assert.True(t, q.Empty())
		e[1].Refuse(refusedWith(leat.CodeInvalid))
		q.Push(e[1])
		assert.True(t, q.Empty(), "it has its outcome")
		for i := range e {
			q.Push(e[i]) // not the one that has its outcome
		}
		e[3].Refuse(refusedWith(leat.CodeInvalid))
		assert.Nil(t, q.Next(func(*entry) bool { return false }))
		first := q.Next(func(f *entry) bool { return f == e[0] })
		second := q.Next(nil)
		require.Same(t, e[0], first)
		require.Same(t, e[2], second)
		assert.True(t, q.PutBack(second))
		assert.True(t, q.PutBack(first))
		assert.False(t, first.Told())
		q.Refuse(refusedWith(leat.CodeNotFound), func(f *entry) bool { return f == e[4] })
		assert.Equal(t, []string{"a0", "a2", "a5"}, drain(&q))
		assert.True(t, q.Empty())
		e[0].Done(nil)
		q.PutBack(e[5])
		q.Refuse(refusedWith(leat.CodeNotFound), nil)
		assert.Equal(t, []string{"ok", "invalid", "", "invalid", "not found", "not found"}, o.list())
		e[2].Done(nil)
		l.Close(t.Context())
	})
}

func TestQueueForgetsWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var a admitted
		var q publish.Queue[int]
		o := offer(t.Context(), t, l, "a", 3, 1, &a)
		for _, e := range a.list() {
			q.Push(e)
		}
		begun := q.Next(nil)
		time.Sleep(timeout)
		synctest.Wait()
		assert.True(t, q.Empty(), "nobody looks into it, and it holds nothing")
		assert.Equal(t, []string{"unknown outcome", "unavailable", "unavailable"}, o.list())
		assert.False(t, q.PutBack(begun))
		assert.False(t, begun.Done(nil), "it is over")
		assert.Equal(t, []string{"unknown outcome", "unavailable", "unavailable"}, o.list())
		l.Close(t.Context())
	})
}

// TestQueueTake: a request takes what is within its bounds, and at least one entry.
func TestQueueTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var q publish.Queue[int]
		o := newOutcomes(4)
		sizes := []int{event(t, "a", 10).Size(), event(t, "b", 500).Size()}
		l.Publish(t.Context(), "topic", []leat.Event{
			event(t, "a", 10), event(t, "b", 500), event(t, "c", 10), event(t, "d", 10),
		}, o.done, func(e leat.Event, value *int) error {
			*value = e.Size()
			if e.ID() == "d" {
				return refusedWith(leat.CodeInvalid)
			}
			return nil
		}, q.PushAll)
		for _, c := range []struct {
			most, bytes int
			values      []int
		}{{10, sizes[0], sizes[:1]}, {10, 1, sizes[1:]}, {1, 1 << 20, sizes[:1]}} {
			entries, values := q.Take(t.Context(), c.most, c.bytes)
			assert.Equal(t, c.values, values)
			for _, e := range entries {
				e.Done(nil)
			}
		}
		assert.Equal(t, []string{"ok", "ok", "ok", "invalid"}, o.list())
		l.Close(t.Context())
	})
}

// TestQueueTakeWaits: Take waits for an entry, one that was put back included, and for the end of
// ctx.
func TestQueueTakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var a admitted
		var q publish.Queue[int]
		offer(t.Context(), t, l, "a", 1, 1, &a)
		took := make(chan []*entry, 1)
		ctx, cancel := context.WithCancel(t.Context())
		take := func() {
			entries, _ := q.Take(ctx, 10, 1<<20)
			took <- entries
		}
		go take()
		synctest.Wait()
		assert.Empty(t, took)
		q.Push(a.list()[0])
		assert.Equal(t, a.list(), <-took)
		go take()
		synctest.Wait()
		assert.Empty(t, took)
		q.PutBack(a.list()[0])
		assert.Equal(t, a.list(), <-took)
		go take()
		synctest.Wait()
		cancel()
		assert.Empty(t, <-took)
		a.list()[0].Done(nil)
		l.Close(t.Context())
	})
}

// TestQueueHold: what is held is not begun, so its deadline refuses it, and it can be put back.
func TestQueueHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var a admitted
		var q publish.Queue[int]
		o := offer(t.Context(), t, l, "a", 4, 1, &a)
		e := a.list()
		for i := range e {
			q.Push(e[i])
		}
		assert.Nil(t, q.Hold(func(*entry) bool { return false }))
		require.Same(t, e[0], q.Hold(nil))
		require.Same(t, e[1], q.Hold(nil))
		require.Same(t, e[2], q.Hold(nil))
		assert.True(t, e[1].Refuse(refusedWith(leat.CodeInvalid)), "it was not begun")
		assert.False(t, q.PutBack(e[1]))
		assert.True(t, q.PutBack(e[0]))
		require.Same(t, e[0], q.Hold(nil))
		assert.True(t, e[0].Begin())
		assert.False(t, e[1].Begin())
		e[0].Done(nil)
		time.Sleep(timeout) // in fake time
		synctest.Wait()
		assert.False(t, e[2].Begin())
		assert.False(t, q.PutBack(e[2]))
		assert.True(t, q.Empty())
		assert.Equal(t, []string{"ok", "invalid", "unavailable", "unavailable"}, o.list())
		l.Close(t.Context())
	})
}
