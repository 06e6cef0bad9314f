package poison_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/poison"
	"github.com/stretchr/testify/require"
)

// refusing refuses what is published.
type refusing struct {
	*memory.Broker

	code leat.Code
}

func (b refusing) Publish(_ context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	for i := range events {
		done(i, &leat.Error{Op: "publish", Topic: topic, Code: b.code})
	}
}

// A queue that refuses what is put back ends the replay, and everything keeps its place.
func TestReplayEndsWhenItsQueueRefuses(t *testing.T) {
	for _, code := range []leat.Code{leat.CodePermissionDenied, leat.CodeTooLarge, leat.CodeInvalid, leat.CodeUnsupported} {
		t.Run(code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := fill(t, 5)
				began := time.Now()
				h := leat.HandlerFunc(func(context.Context, leat.Event) error { return errAgain })
				r, err := poison.Replay(t.Context(), refusing{b, code}, orders, h, nil)
				require.Equal(t, code, leat.CodeOf(err), "%v", err)
				require.Less(t, time.Since(began), time.Minute)
				require.Equal(t, poison.Result{Left: 5}, r)
				require.Equal(t, numbers(0, 5), peek(t, b))
			})
		})
	}
}

// A queue that is down is waited for.
func TestReplayWaitsForItsQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fill(t, 5)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		h := leat.HandlerFunc(func(context.Context, leat.Event) error { return errAgain })
		r, err := poison.Replay(ctx, refusing{b, leat.CodeUnavailable}, orders, h, nil)
		require.NoError(t, err)
		require.Error(t, ctx.Err())
		require.Equal(t, poison.Result{Left: 5}, r)
		require.Equal(t, numbers(0, 5), peek(t, b))
	})
}
