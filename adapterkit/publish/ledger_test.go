package publish_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var a admitted
		o := offer(t.Context(), t, l, "e", 6, 1, &a)
		e := a.list()
		require.Len(t, e, 6)
		assert.Equal(t, "topic", e[0].Topic())
		assert.Equal(t, time.Now(), e[0].Admitted())
		for _, begun := range []int{0, 1, 2} {
			assert.True(t, e[begun].Begin())
			assert.False(t, e[begun].Begin(), "twice")
			assert.False(t, e[begun].Refuse(errTest), "it may have been sent")
		}
		assert.True(t, e[0].Done(nil))
		assert.False(t, e[0].Done(errTest), "a second answer")
		assert.True(t, e[1].Done(errTest), "an error without a code proves nothing")
		assert.True(t, e[3].Done(refusedWith(leat.CodeTooLarge)))
		assert.True(t, e[4].Refuse(refusedWith(leat.CodeNotFound)))
		assert.False(t, e[4].Begin())
		assert.Equal(t, []string{"ok", "unknown outcome", "", "too large", "not found", ""}, o.list())

		time.Sleep(timeout)
		synctest.Wait()
		assert.Equal(t, []string{"ok", "unknown outcome", "unknown outcome", "too large", "not found", "unavailable"}, o.list())
		assert.True(t, e[2].Told())
		assert.False(t, e[2].Done(nil), "a late answer is ignored")
		assert.False(t, e[5].Begin(), "it must not be sent any more")
		l.Close(t.Context())
		assert.Equal(t, []string{"ok", "unknown outcome", "unknown outcome", "too large", "not found", "unavailable"}, o.list())
	})
}

func TestErrorsSayWhichEventAndWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trouble error
		l := publish.New[int](publish.Options{Events: 2, Timeout: timeout, Trouble: func() error { return trouble }})
		var got error
		admit := func(ctx context.Context, id string) (e *entry) {
			b := l.Batch("topic", 1, func(_ int, err error) { got = err })
			b.Add(0, event(t, id, 1))
			l.Admit(ctx, b, func(entries []entry) { e = &entries[0] })
			return e
		}
		admit(t.Context(), "a")
		time.Sleep(timeout)
		synctest.Wait()
		require.EqualError(t, got,
			`leat: publish topic "topic" event "a": unavailable: not sent within the DeliveryTimeout of 10s: the broker is slow`)

		trouble = refusedWith(leat.CodeUnauthenticated)
		admit(t.Context(), "b")
		time.Sleep(timeout)
		synctest.Wait()
		require.EqualError(t, got,
			`leat: publish topic "topic" event "b": unauthenticated: not sent within the DeliveryTimeout of 10s: test`)

		trouble = refusedWith(leat.CodeUnknown) // the outcome of another event
		admit(t.Context(), "c")
		time.Sleep(timeout)
		synctest.Wait()
		require.EqualError(t, got,
			`leat: publish topic "topic" event "c": unavailable: not sent within the DeliveryTimeout of 10s: test`)

		trouble = refusedWith(leat.CodeUnauthenticated)
		require.True(t, admit(t.Context(), "sent").Begin())
		time.Sleep(timeout)
		synctest.Wait()
		require.EqualError(t, got, `leat: publish topic "topic" event "sent": unknown outcome: no answer within the DeliveryTimeout of 10s: test`)

		ctx, cancel := context.WithCancelCause(t.Context())
		e := admit(ctx, "c")
		cancel(errTest)
		l.Withdraw(ctx, "another", []leat.Event{e.Event()})
		l.Withdraw(ctx, "topic", []leat.Event{event(t, "another", 1)})
		assert.False(t, e.Told())
		assert.Empty(t, l.Withdraw(ctx, "topic", []leat.Event{e.Event()}))
		require.EqualError(t, got, `leat: publish topic "topic" event "c": unauthenticated: not sent when the context ended: test: test`)
		assert.False(t, e.Begin())
		trouble = nil
		admit(t.Context(), "d")
		l.Withdraw(ctx, "topic", []leat.Event{event(t, "d", 1)})
		require.EqualError(t, got, `leat: publish topic "topic" event "d": canceled: not sent when the context ended: test`)

		assert.Nil(t, admit(ctx, "e"))
		require.EqualError(t, got, `leat: publish topic "topic" event "e": canceled: context canceled: test`)
		e = admit(t.Context(), "f")
		require.True(t, e.Begin())
		over, cancelOver := context.WithCancel(t.Context())
		cancelOver()
		assert.Equal(t, []*entry{e}, l.Withdraw(over, "topic", []leat.Event{e.Event()}))
		assert.Empty(t, l.Withdraw(over, "topic", []leat.Event{event(t, "another", 1)}))
		assert.False(t, e.Told(), "it may have been sent")
		l.Close(over)
		require.EqualError(t, got, `leat: publish topic "topic" event "f": unknown outcome: the broker was closed before an answer came`)
		assert.Nil(t, admit(t.Context(), "g"))
		require.EqualError(t, got, `leat: publish topic "topic" event "g": closed: the broker is closed`)
	})
}

func TestBounds(t *testing.T) {
	size := event(t, "a0", 1000).Size()
	for name, o := range map[string]publish.Options{
		"events": {Events: 3, Timeout: timeout},
		"bytes":  {Bytes: 3 * size, Timeout: timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := publish.New[int](o)
				var a admitted
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				var first, second, third *outcomes
				all.Go(func() { first = offer(t.Context(), t, l, "a", 5, 1000, &a) })
				synctest.Wait()
				all.Go(func() { second = offer(ctx, t, l, "b", 1, 1000, &a) })
				synctest.Wait()
				all.Go(func() { third = offer(t.Context(), t, l, "c", 1, 1000, &a) })
				synctest.Wait()
				assert.Equal(t, []string{"a0", "a1", "a2"}, a.ids())

				require.True(t, a.list()[0].Begin())
				time.Sleep(timeout / 2)
				cancel()
				synctest.Wait()
				assert.Equal(t, []string{"canceled"}, second.list(), "at once (P3)")
				a.list()[1].Done(nil)
				synctest.Wait()
				assert.Equal(t, []string{"a0", "a1", "a2", "a3"}, a.ids(), "the first in line")
				time.Sleep(timeout / 2)
				synctest.Wait()
				assert.True(t, a.list()[2].Told(), "it was not begun")
				assert.True(t, a.list()[0].Told())
				assert.Equal(t, []string{"a0", "a1", "a2", "a3", "c0"}, a.ids(), "a lapsed entry keeps its room")
				a.list()[0].Done(nil)
				synctest.Wait()
				assert.Equal(t, []string{"a0", "a1", "a2", "a3", "c0", "a4"}, a.ids())
				all.Wait()
				for _, e := range a.list()[3:] {
					e.Done(nil)
				}
				assert.Equal(t, []string{"unknown outcome", "ok", "unavailable", "ok", "ok"}, first.list())
				assert.Equal(t, []string{"ok"}, third.list())
				l.Close(t.Context())
			})
		})
	}
}

func TestOneEventIsLetInHoweverLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Bytes: 1})
		var a admitted
		var all sync.WaitGroup
		all.Go(func() { offer(t.Context(), t, l, "a", 2, 1000, &a) })
		synctest.Wait()
		require.Equal(t, []string{"a0"}, a.ids())
		a.list()[0].Done(nil)
		all.Wait()
		require.Equal(t, []string{"a0", "a1"}, a.ids())
		a.list()[1].Done(nil)
		l.Close(t.Context())
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: time.Minute})
		var a admitted
		began := time.Now()
		offer(t.Context(), t, l, "a", 2, 1, &a)
		time.Sleep(publish.SlowAfter - 1)
		offer(t.Context(), t, l, "b", 1, 1, &a)
		require.NoError(t, l.Health())
		time.Sleep(time.Nanosecond)
		slow := `leat: health topic "topic": unavailable: publishes are not answered, since ` + began.UTC().Format(time.RFC3339)
		require.EqualError(t, l.Health(), slow)
		a.list()[0].Done(nil)
		require.EqualError(t, l.Health(), slow, "another one of the same time")
		a.list()[1].Done(nil)
		require.NoError(t, l.Health())
		a.list()[2].Done(nil)
		l.Close(t.Context())
	})
}

func TestCloseWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Events: 2, Timeout: time.Minute})
		var a admitted
		var o, inLine *outcomes
		o = offer(t.Context(), t, l, "a", 2, 1, &a)
		require.True(t, a.list()[0].Begin())
		var all sync.WaitGroup
		all.Go(func() { inLine = offer(t.Context(), t, l, "b", 1, 1, &a) })
		synctest.Wait()
		ended := make(chan struct{})
		began := time.Now()
		go func() {
			l.Close(t.Context())
			close(ended)
		}()
		all.Wait()
		assert.Equal(t, []string{"closed"}, inLine.list(), "at once")
		time.Sleep(time.Second)
		require.True(t, a.list()[1].Begin(), "what sends goes on")
		a.list()[1].Done(nil)
		synctest.Wait()
		select {
		case <-ended:
			assert.Fail(t, "Close did not wait")
		default:
		}
		a.list()[0].Done(nil)
		<-ended
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, []string{"ok", "ok"}, o.list())
		l.Close(t.Context())
	})
}

func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{})
		var a admitted
		o := offer(t.Context(), t, l, "a", 3, 1, &a)
		var q publish.Queue[int]
		for _, e := range a.list() {
			q.Push(e)
		}
		require.Same(t, a.list()[0], q.Next(nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l.Close(ctx)
		require.Error(t, ctx.Err(), "it did not wait")
		assert.Equal(t, []string{"unknown outcome", "closed", "closed"}, o.list())
		assert.True(t, q.Empty())
		assert.False(t, q.PutBack(a.list()[0]), "it was reported as unknown")
		assert.True(t, q.Empty())
	})
}

// owner counts how often a batch may be used again.
type owner struct{ n int }

func (o *owner) Release() { o.n++ }

func TestOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := publish.New[int](publish.Options{Timeout: timeout})
		var own owner
		b, room := &publish.Batch[int]{Owner: &own}, make([]entry, 2)
		use := func(refused bool) *admitted {
			a := &admitted{}
			o := newOutcomes(2)
			b.Reset("topic", room, o.done)
			b.Add(0, event(t, "a", 1)).Value = 7
			b.Add(1, event(t, "b", 1))
			if refused {
				b.Refuse(refusedWith(leat.CodeInvalid))
				b.Refuse(refusedWith(leat.CodeInvalid))
			}
			l.Admit(t.Context(), b, a.accept)
			return a
		}
		use(true)
		assert.Equal(t, 1, own.n, "nothing was admitted")
		a := use(false)
		a.list()[0].Done(nil)
		assert.Equal(t, 1, own.n)
		a.list()[1].Done(errTest)
		assert.Equal(t, 2, own.n, "all have their answers")
		assert.Zero(t, room[0].Value, "it is zeroed")
		assert.True(t, room[0].Event().IsZero())
		a = use(false)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		l.Withdraw(ctx, "topic", []leat.Event{event(t, "a", 1)})
		a.list()[1].Done(nil)
		assert.Equal(t, 3, own.n, "the rest was withdrawn")
		a = use(false)
		require.True(t, a.list()[0].Begin())
		time.Sleep(timeout)
		synctest.Wait()
		a.list()[0].Done(nil)
		assert.Equal(t, 3, own.n, "it has expired")
		l.Close(t.Context())
	})
}
