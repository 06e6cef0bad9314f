package middleware_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

func newEvent(t *testing.T, eventType, source, id string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(eventType, &leat.EventOptions{ID: id, Source: source, Data: []byte("the payload")})
	require.NoError(t, err)
	return e
}

// returns is a handler that always has the same outcome.
func returns(err error) leat.Handler {
	return leat.HandlerFunc(func(context.Context, leat.Event) error { return err })
}

// attempt is the context of one attempt, as a Consumer gives it.
func attempt(ctx context.Context, n int, first time.Time) context.Context {
	return leat.ContextWithInfo(ctx, leat.Info{Topic: "orders", Group: "billing", Attempt: n, FirstAttempt: first})
}
