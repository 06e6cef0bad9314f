package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// Error returns the outcome of an event whose publish failed with err, which is not nil. It has the
// code and the text of the [*leat.Error] that err is or wraps. Any other error proves nothing, so
// it becomes [leat.CodeUnknown].
func Error(topic string, e leat.Event, err error) error {
	w := &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: leat.CodeUnknown, Err: err}
	if own, ok := errors.AsType[*leat.Error](err); ok {
		w.Code, w.Err = own.Code, own.Err
	}
	return w
}

func closed() error {
	return &leat.Error{Code: leat.CodeClosed, Err: errors.New("the broker is closed")}
}

// canceled is the refusal of an event that came too late.
func (o *Options) canceled(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &leat.Error{Code: leat.CodeCanceled, Err: err}
}

// full is the refusal of an event that found no room before ctx ended.
func (o *Options) full(ctx context.Context) error {
	return &leat.Error{Code: leat.CodeCanceled, Err: fmt.Errorf("%w while the buffer of %d events or %d bytes was full",
		context.Cause(ctx), o.Events, o.Bytes)}
}

// late is the refusal of an event that nothing was sent of within the Timeout.
func (o *Options) late() error {
	code, why := o.trouble()
	if why == nil {
		why = errors.New("the broker is slow")
	}
	return &leat.Error{Code: code, Err: fmt.Errorf("not sent within the DeliveryTimeout of %v: %w", o.Timeout, why)}
}

// unanswered is the outcome of an event that was begun, with what is wrong now.
func (o *Options) unanswered() error {
	err := fmt.Errorf("no answer within the DeliveryTimeout of %v", o.Timeout)
	if _, why := o.trouble(); why != nil {
		err = fmt.Errorf("%w: %w", err, why)
	}
	return &leat.Error{Code: leat.CodeUnknown, Err: err}
}

// withdrawn is the refusal of an event that nothing was sent of when ctx ended.
func (o *Options) withdrawn(ctx context.Context) error {
	code, why := o.trouble()
	if why == nil {
		return &leat.Error{Code: leat.CodeCanceled,
			Err: fmt.Errorf("not sent when the context ended: %w", context.Cause(ctx))}
	}
	return &leat.Error{Code: code, Err: fmt.Errorf("not sent when the context ended: %w: %w", context.Cause(ctx), why)}
}

// trouble returns what Trouble says, and its code.
func (o *Options) trouble() (leat.Code, error) {
	if o.Trouble == nil {
		return leat.CodeUnavailable, nil
	}
	err := o.Trouble()
	own, ok := errors.AsType[*leat.Error](err)
	switch {
	case !ok || own != err: //nolint:errorlint // only the outermost
		return leat.CodeUnavailable, err
	case own.Code == leat.CodeUnknown: // which is about what was sent
		return leat.CodeUnavailable, own.Err
	}
	return own.Code, own.Err
}
