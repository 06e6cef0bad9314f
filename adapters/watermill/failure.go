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
	fault.Symptom

	mu sync.Mutex
}

// note takes the outcome of an operation; nil ends the failure.
func (f *failure) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Set(err)
}

// health returns the failure as an error, or nil.
func (f *failure) health(op, topic string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Err == nil {
		return nil
	}
	return fault.Health(topic, leat.CodeUnavailable, f.Since, fmt.Errorf("%s fails: %w", op, f.Err))
}

// failed makes the error of a call of the Pub/Sub, with the code of the Pub/Sub's own error where that is an [*leat.Error].
func failed(op, topic string, err error) error {
	code := leat.CodeUnavailable
	if own, ok := errors.AsType[*leat.Error](err); ok {
		code = own.Code
		if own == err && own.Err != nil { //nolint:errorlint // only the outermost
			err = own.Err
		}
	}
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: err}
}

// broker is how errors call the Broker.
const broker = "the broker over Watermill"

func closedError(op, topic, id string) error {
	return &leat.Error{Op: op, Topic: topic, EventID: id, Code: leat.CodeClosed, Err: errors.New(broker + " is closed")}
}

// endOf returns the error of a context that ended, with its cause where that says more.
func endOf(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

func canceled(ctx context.Context, op, topic string) error {
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeCanceled, Err: endOf(ctx)}
}
