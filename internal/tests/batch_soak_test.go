package leat_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
)

// TestNothingIsLostAndOrderHoldsUnderFaultsInBatches is the soak for handlers of batches, with one
// event of a key and with several, bare and in middleware.
func TestNothingIsLostAndOrderHoldsUnderFaultsInBatches(t *testing.T) {
	for _, sameKey := range []bool{false, true} {
		o := &leat.BatchOptions{MaxEvents: 12, MaxWait: 20 * time.Millisecond, SameKey: sameKey}
		t.Run(fmt.Sprintf("SameKey=%v", sameKey), func(t *testing.T) {
			soakSeeds(t, 5, func(l *ledger) leat.Handler { return leat.Batch(o, l.batch(sameKey)) })
		})
		t.Run(fmt.Sprintf("SameKey=%v in middleware", sameKey), func(t *testing.T) {
			soakSeeds(t, 5, func(l *ledger) leat.Handler {
				route := leat.Route{Type: "com.example.test", Handler: leat.Chain(leat.Batch(o, l.batch(sameKey)),
					middleware.Retry(&middleware.RetryOptions{NoLimit: true, MaxDelay: time.Second}), l.slow, middleware.Timeout(60*time.Millisecond))}
				return leat.NewRouter(route)
			})
		})
	}
}

// slow is a middleware that takes its time before and after the handler, and fails by chance.
func (l *ledger) slow(next leat.Handler) leat.Handler {
	return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		if l.chance(20) == 0 {
			return errBoom
		}
		if n := l.chance(100); n < 20 {
			time.Sleep(time.Duration(n) * time.Millisecond) // in fake time
		}
		if err := next.Handle(ctx, e); err != nil {
			return err
		}
		if n := l.chance(100); n < 20 {
			time.Sleep(time.Duration(n) * time.Millisecond) // in fake time
		}
		if ctx.Err() == nil && l.chance(30) == 0 {
			return errBoom // it comes again, although the handler succeeded
		}
		return nil
	})
}

// batch is handler for several events. It goes on behind an event that failed, but what it did for
// later ones of the key then does not count: so they have to come again.
func (l *ledger) batch(sameKey bool) batchFunc {
	return func(ctx context.Context, events []leat.Event) error {
		keys := map[string]bool{}
		for _, e := range events {
			if e.Key() == "" || !keys[e.Key()] {
				keys[e.Key()] = true
				l.begin(ctx, e)
				defer l.leave(ctx, e)
			} else {
				assert.True(l.t, sameKey, "%s is not the only one of its key in the batch", e.ID())
			}
		}
		time.Sleep(time.Duration(l.chance(30)) * time.Millisecond) // in fake time
		luck := l.chance(200)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case luck < 10:
			return errBoom
		case luck < 12:
			crash("panic")
		case luck < 14:
			crash("goexit")
		case luck < 16:
			return make(leat.BatchErrors, len(events)-1)
		case luck < 18:
			return leat.Pause(10*time.Millisecond, errBoom)
		}
		failed := map[string]bool{}
		outcomes := make(leat.BatchErrors, len(events))
		for i, e := range events {
			switch luck := l.chance(100); {
			case luck < 10:
				outcomes[i] = errBoom
			case luck < 15:
				outcomes[i] = leat.RetryAfter(time.Duration(luck)*time.Millisecond, errBoom)
			case luck == 16:
				outcomes[i] = leat.Reject(errBoom)
			case !failed[e.Key()]:
				l.handled(e)
			}
			failed[e.Key()] = e.Key() != "" && (failed[e.Key()] || outcomes[i] != nil)
		}
		return outcomes
	}
}
