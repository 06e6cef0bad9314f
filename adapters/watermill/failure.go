package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// failure is what went wrong last, since when, for health.
type failure struct {
	mu      sync.Mutex
	symptom fault.Symptom
}

// note takes the outcome of an operation; nil ends the failure.
func (f *failure) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.symptom.Set(err)
}

// health returns the failure as an error, or nil.
func (f *failure) health(op, topic string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.symptom.Err == nil {
		return nil
	}
	return fault.Health(topic, leat.CodeUnavailable, f.symptom.Since, fmt.Errorf("%s fails: %w", op, f.symptom.Err))
}

// last returns the failure as an error for which the broker cannot be reached, or nil.
func (f *failure) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if own, ok := errors.AsType[*leat.Error](f.symptom.Err); ok && own.Err != nil {
		return own.Err
	}
	return f.symptom.Err
}

// broker is how errors call the Broker.
const broker = "the broker over Watermill"

// failed makes the error of a call of the Pub/Sub, with the code of the Pub/Sub's own error where
// that is an [*leat.Error].
func failed(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, fault.Code(err), err)
}
