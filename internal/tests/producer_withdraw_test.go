package leat_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unsentBroker accepts events, says which of them were sent, and withdraws the others.
type unsentBroker struct {
	*fakeBroker

	sent      map[string]bool
	open      map[string]func(err error)
	withdrawn []string
}

func newUnsentBroker(sent ...string) *unsentBroker {
	b := &unsentBroker{fakeBroker: newFakeBroker(), sent: map[string]bool{}, open: map[string]func(error){}}
	for _, id := range sent {
		b.sent[id] = true
	}
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		for i, e := range events {
			b.open[e.ID()] = func(err error) { done(i, err) }
		}
	}
	return b
}

func (b *unsentBroker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	for _, e := range events {
		b.withdrawn = append(b.withdrawn, topic+" "+e.ID())
		if !b.sent[e.ID()] {
			b.open[e.ID()](&leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: errors.Join(context.Cause(ctx), errors.New("refused"))})
		}
	}
}

// When ctx ends, what was never sent is refused, and only what was sent is unknown.
func TestPublishWithdrawsWhatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newUnsentBroker("sent")
		p := leat.NewProducer(b, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Publish(ctx, "orders", event(t, "sent", ""), event(t, "waits", ""))
		e := publishError(t, err)
		require.Len(t, e.Failures, 2)
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(e.Failures[0].Err))
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(e.Failures[1].Err))
		require.ErrorIs(t, e.Failures[1].Err, context.DeadlineExceeded)
		assert.Equal(t, []string{"orders sent", "orders waits"}, b.withdrawn)
		b.open["sent"](nil)
		assert.NoError(t, p.Flush(t.Context()), "both are answered")
	})
}

// ctx bounds the acceptance only, where the caller does not wait.
func TestPublishAsyncWithdrawsNothing(t *testing.T) {
	b := newUnsentBroker()
	p := leat.NewProducer(b, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p.PublishAsync(ctx, "orders", nil, event(t, "1", ""))
	cancel()
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(p.Flush(ctx)))
	assert.Empty(t, b.withdrawn)
	b.open["1"](nil)
	assert.NoError(t, p.Flush(t.Context()))
}
