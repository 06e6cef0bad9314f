package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

type typedNilError struct{ cause error }

func (e *typedNilError) Error() string { return "x" }
func (e *typedNilError) Unwrap() error { return e.cause }

// The engine looks into the handler's error, which may be a typed nil, the classic slip: that must
// not end the process.
func TestErrorWhoseUnwrapPanicsIsAnErrorOfThatEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			var err *typedNilError
			return err
		}, nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		assert.Positive(t, r.consumer.Stats().Retried)
		_ = r.stop()
	})
}
