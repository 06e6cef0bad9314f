package cases

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// prepare makes what an operation works on, outside of the timed part, and returns the operation.
type prepare func() (func() error, error)

// operation is a case that calls a function again and again on one goroutine.
func operation(name string, times int, p prepare) bench.Case {
	return bench.Case{Name: name, Events: times, Start: func(context.Context, int) (bench.Instance, error) {
		do, err := p()
		return &bench.Loop{Do: do}, err
	}}
}

// always prepares nothing.
func always(do func() error) prepare {
	return func() (func() error, error) { return do, nil }
}

// withLeat prepares a Leat event.
func withLeat(do func(e leat.Event) error) prepare {
	return func() (func() error, error) {
		e, err := newLeatEvent(eventID(1), eventKey(1, 10), payload())
		return func() error { return do(e) }, err
	}
}

// withSDK prepares the same event of the CloudEvents SDK.
func withSDK(do func(e *event.Event) error) prepare {
	return func() (func() error, error) {
		e, err := newSDKEvent(eventID(1), eventKey(1, 10), payload())
		return func() error { return do(&e) }, err
	}
}

// withEncoded prepares that event in the JSON format.
func withEncoded(do func(b []byte) error) prepare {
	return func() (func() error, error) {
		e, err := newSDKEvent(eventID(1), eventKey(1, 10), payload())
		if err != nil {
			return nil, err
		}
		b, err := e.MarshalJSON()
		return func() error { return do(b) }, err
	}
}
