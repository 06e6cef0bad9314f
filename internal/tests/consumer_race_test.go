package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

// slowError is an error that takes its time to say what it is.
type slowError struct{ takes time.Duration }

func (e slowError) Error() string {
	time.Sleep(e.takes)
	return "slow"
}

// The engine looks into a handler's error without its lock, while the drain lists the handlers that
// still run. Only the race detector sees whether they share what they read and write.
func TestDrainListsAHandlerWhoseErrorIsBeingRead(t *testing.T) {
	errs := map[string]error{"rejected": leat.Reject(slowError{time.Second}), "failed": slowError{time.Second}}
	for name, err := range errs {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				r := start(t, b, func(context.Context, leat.Event) error {
					time.Sleep(49 * time.Millisecond) // its context has not ended when the engine begins to read the error
					return err
				}, &leat.ConsumerOptions{ShutdownTimeout: 50 * time.Millisecond, PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error {
					return nil
				})})
				b.deliver(leat.NewLease(), event(t, "1", "k"))
				synctest.Wait()
				got := r.stop()
				assert.ErrorContains(t, got, "the handler of an event of type")
				assert.Equal(t, leat.CodeHandler, leat.CodeOf(got))
				time.Sleep(2 * time.Second) // the engine is done with it
			})
		})
	}
}
