package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

// stream notes when its Close gave up, and takes as long as it may.
type stream struct {
	life   *lifecycle.Life[*stream]
	closed time.Time
}

func (s *stream) Close(ctx context.Context) error {
	<-ctx.Done()
	s.closed = time.Now()
	s.life.Remove(s)
	return ctx.Err()
}

// TestCloseIsBounded: streams and publishes share nine tenths of the timeout, the connections have
// the rest, and tasks are awaited.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life := &lifecycle.Life[*stream]{Broker: "the NATS broker"}
		a, b := &stream{life: life}, &stream{life: life}
		require.NoError(t, life.Add("t", a))
		require.NoError(t, life.Add("t", b))
		gone := &stream{life: life}
		require.NoError(t, life.Add("t", gone))
		life.Remove(gone)
		assert.Equal(t, 2, life.Streams())
		begin := time.Now()
		var tasksEnded, published, connected time.Time
		life.Tasks.Go(func() {
			time.Sleep(11 * time.Second)
			tasksEnded = time.Now()
		})
		publishing := func(ctx context.Context) {
			assert.Equal(t, leat.CodeClosed, leat.CodeOf(life.Refuse(ctx, "publish", "t")), "while it closes")
			<-ctx.Done()
			published = time.Now()
		}
		life.Close(10*time.Second, publishing, func(streams []*stream) {
			assert.ElementsMatch(t, []*stream{a, b}, streams)
			connected = time.Now()
		})
		life.Close(10*time.Second, nil, nil) // once is enough
		assert.Equal(t, 11*time.Second, time.Since(begin))
		for _, at := range []time.Time{a.closed, b.closed, published, connected} {
			assert.Equal(t, begin.Add(9*time.Second), at)
		}
		assert.Equal(t, begin.Add(11*time.Second), tasksEnded)
		assert.True(t, gone.closed.IsZero(), "it was closed before")
	})
}

func TestRefuse(t *testing.T) {
	var life lifecycle.Life[*stream]
	require.NoError(t, life.Refuse(t.Context(), "declare", ""))
	require.NoError(t, life.Closed("health", ""))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(life.Refuse(t.Context(), "publish", "a b")))
	require.NoError(t, life.RefusePublish(t.Context(), "t"))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(life.RefusePublish(t.Context(), "a b")))
	require.EqualError(t, life.RefusePublish(t.Context(), ""), "leat: publish: invalid: the topic is empty")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the shift is over"))
	err := life.Refuse(ctx, "publish", "t")
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "the shift is over")

	sub := leat.Subscription{Topic: "t", Group: "g"}
	alone := leat.Subscription{Topic: "t"}
	require.NoError(t, life.RefuseDeclare(t.Context(), sub, alone))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(life.RefuseDeclare(t.Context(), sub, leat.Subscription{Topic: "a b"})))
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(life.RefuseDeclare(ctx, sub)))
	require.NoError(t, life.RefuseSubscribe(t.Context(), sub))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(life.RefuseSubscribe(t.Context(), alone)))
	_, err = life.Enter(t.Context(), alone)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	done, err := life.Enter(t.Context(), sub)
	require.NoError(t, err)
	done()
	life.Close(time.Second, func(context.Context) {}, func([]*stream) {})
	_, err = life.Enter(t.Context(), sub)
	for _, err := range []error{err, life.Add("t", nil), life.Closed("health", ""), life.Refuse(ctx, "publish", "a b")} {
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(err))
		require.ErrorContains(t, err, "the broker is closed")
	}
}

// A call that has entered is awaited.
func TestCloseAwaitsWhatHasEntered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var life lifecycle.Life[*stream]
		done, err := life.Enter(t.Context(), leat.Subscription{Topic: "t", Group: "g"})
		require.NoError(t, err)
		time.AfterFunc(time.Minute, done)
		begin := time.Now()
		life.Close(time.Second, func(context.Context) {}, func([]*stream) {})
		assert.Equal(t, time.Minute, time.Since(begin))
	})
}

func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := lifecycle.Bounded(t.Context(), time.Second)
		defer cancel()
		<-ctx.Done()
		require.EqualError(t, context.Cause(ctx), "no answer within the RequestTimeout of 1s")
	})
}
