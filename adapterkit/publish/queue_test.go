package publish_test

import (
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
