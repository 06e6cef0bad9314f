package leat_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

// No error says twice what the one around it says, however they are nested.
func TestNestedErrorsRepeatNothing(t *testing.T) {
	refused := errors.New("dial tcp 127.0.0.1:9092: connection refused")
	publish := func(code leat.Code, err error) *leat.Error {
		return &leat.Error{Op: "publish", Topic: "orders", EventID: "1", Code: code, Err: err}
	}
	one := &leat.PublishError{Topic: "orders", Total: 1, Failures: []leat.PublishFailure{{Err: publish(leat.CodeUnavailable, refused)}}}
	two := &leat.PublishError{Topic: "orders", Total: 3, Failures: []leat.PublishFailure{
		{Err: publish(leat.CodeUnavailable, refused)}, {Err: publish(leat.CodeUnknown, refused)},
	}}
	_, invalid := leat.NewEvent("", &leat.EventOptions{ID: "2"})
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"one alone", publish(leat.CodeUnavailable, refused),
			`leat: publish topic "orders" event "1": unavailable: dial tcp 127.0.0.1:9092: connection refused`},
		{"the same once more", publish(leat.CodeUnavailable, publish(leat.CodeUnavailable, refused)),
			`leat: publish topic "orders" event "1": unavailable: dial tcp 127.0.0.1:9092: connection refused`},
		{"another code", publish(leat.CodeUnknown, publish(leat.CodeUnavailable, refused)),
			`leat: publish topic "orders" event "1": unknown outcome: unavailable: dial tcp 127.0.0.1:9092: connection refused`},
		{"another topic", &leat.Error{Op: "publish", Topic: "bills", Code: leat.CodeUnknown, Err: publish(leat.CodeUnavailable, refused)},
			`leat: publish topic "bills": unknown outcome: publish topic "orders" event "1": unavailable: ` + refused.Error()},
		{"another operation", &leat.Error{Op: "handle", Topic: "orders", Code: leat.CodeHandler, Err: publish(leat.CodeUnavailable, refused)},
			`leat: handle topic "orders": handler: publish event "1": unavailable: ` + refused.Error()},
		{"less inside", publish(leat.CodeUnknown, &leat.Error{Op: "publish", Code: leat.CodeUnavailable, Err: refused}),
			`leat: publish topic "orders" event "1": unknown outcome: unavailable: ` + refused.Error()},
		{"no cause inside", publish(leat.CodeUnavailable, &leat.Error{Op: "publish", Code: leat.CodeUnavailable}),
			`leat: publish topic "orders" event "1": unavailable`},
		{"no cause in a text", publish(leat.CodeUnavailable, fmt.Errorf("again: %w", &leat.Error{Op: "publish", Code: leat.CodeUnavailable})),
			`leat: publish topic "orders" event "1": unavailable: again: unavailable`},
		{"three deep", &leat.Error{Op: "run", Topic: "orders", Code: leat.CodeUnavailable, Err: &leat.Error{
			Op: "declare", Topic: "orders", Code: leat.CodeUnavailable, Err: &leat.Error{
				Op: "declare", Topic: "orders", Code: leat.CodeConflict, Err: refused}}},
			`leat: run topic "orders": unavailable: declare: conflict: ` + refused.Error()},
		{"wrapped in a text", publish(leat.CodeUnknown, fmt.Errorf("the last try: %w", publish(leat.CodeUnavailable, refused))),
			`leat: publish topic "orders" event "1": unknown outcome: the last try: unavailable: ` + refused.Error()},
		{"wrapped twice", publish(leat.CodeUnknown, fmt.Errorf("a: %w", fmt.Errorf("b: %w", publish(leat.CodeUnknown, refused)))),
			`leat: publish topic "orders" event "1": unknown outcome: a: b: ` + refused.Error()},
		{"joined", &leat.Error{Op: "health", Topic: "orders", Code: leat.CodeUnavailable, Err: errors.Join(
			&leat.Error{Op: "health", Topic: "orders", Code: leat.CodeUnavailable, Err: errors.New("partition 1")},
			&leat.Error{Op: "health", Topic: "orders", Code: leat.CodeStalled, Err: errors.New("partition 2")})},
			`leat: health topic "orders": unavailable: partition 1; stalled: partition 2`},
		{"an event inside a publish", publish(leat.CodeInvalid, invalid),
			`leat: publish topic "orders" event "1": invalid: event "2": attribute "type" is empty (CloudEvents 1.0.2, Required Attributes: type)`},
		{"a publish of one event", &leat.Error{Op: "poison", Topic: "orders.billing.poison", EventID: "1", Code: leat.CodePoisonQueue, Err: one},
			`leat: poison topic "orders.billing.poison" event "1": poison queue: publish topic "orders": unavailable: ` + refused.Error()},
		{"a publish of several", two, `leat: publish topic "orders": 2 of 3 events failed (1 refused, 1 with unknown outcome); the first: ` +
			`event "1": unavailable: ` + refused.Error()},
		{"it within another", &leat.Error{Op: "handle", Topic: "in", Code: leat.CodeHandler, Err: two},
			`leat: handle topic "in": handler: publish topic "orders": 2 of 3 events failed (1 refused, 1 with unknown outcome); the first: ` +
				`event "1": unavailable: ` + refused.Error()},
		{"a text of several lines", publish(leat.CodeUnknown, errors.New("\none\r\n  two\n")), //nolint:revive // the newlines are what is tested
			`leat: publish topic "orders" event "1": unknown outcome: one; two`},
		{"a rejection", leat.Reject(publish(leat.CodeTooLarge, refused)),
			`leat: publish topic "orders" event "1": too large: ` + refused.Error()},
		{"a pause inside", &leat.Error{Op: "handle", Topic: "orders", Code: leat.CodeHandler,
			Err: leat.Pause(1e9, publish(leat.CodeUnavailable, refused))},
			`leat: handle topic "orders": handler: pause for 1s: publish event "1": unavailable: ` + refused.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.err.Error()
			assert.Equal(t, c.want, got)
			assert.NotContains(t, got, "\n")
		})
	}
}

// What an invalid event says by itself goes into the error of its publish without its id.
func TestAPublishNamesTheEventOnce(t *testing.T) {
	p := leat.NewProducer(newFakeBroker(), nil)
	e, err := leat.NewEvent("a", &leat.EventOptions{ID: "1"})
	assert.NoError(t, err)
	assert.EqualError(t, p.Publish(t.Context(), "orders", e),
		`leat: publish topic "orders" event "1": invalid: attribute "source" is missing (CloudEvents 1.0.2, Required Attributes: source); `+
			`set ProducerOptions.Source, which its events get, or EventOptions.Source`)
	assert.EqualError(t, p.Publish(t.Context(), "orders", e.WithType("")),
		`leat: publish topic "orders" event "1": invalid: attribute "type" is empty (CloudEvents 1.0.2, Required Attributes: type)`)
	assert.EqualError(t, p.Publish(t.Context(), "orders", leat.Event{}),
		`leat: publish topic "orders": invalid: the event is the zero Event; make one with NewEvent or EventType.New `+
			`(CloudEvents 1.0.2, Required Attributes)`)
}
