package leat_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

// failures returns an error of a publish of as many events as codes; 0 is success.
func failures(codes ...leat.Code) *leat.PublishError {
	e := &leat.PublishError{Topic: "orders", Total: len(codes)}
	for _, c := range codes {
		if c != 0 {
			e.Failures = append(e.Failures, leat.PublishFailure{Err: withCode(c)})
		}
	}
	return e
}

func withCode(c leat.Code) error { return &leat.Error{Op: "test", Code: c} }

// An error of many outcomes answers the same in whatever order they come.
func TestCodeOfSeveralOutcomes(t *testing.T) {
	const (
		large, invalid, unknown, down = leat.CodeTooLarge, leat.CodeInvalid, leat.CodeUnknown, leat.CodeUnavailable
	)
	for name, c := range map[string]struct {
		err   error
		code  leat.Code
		retry bool
	}{
		"too large, unknown":        {failures(large, unknown), unknown, true},
		"unknown, too large":        {failures(unknown, large), unknown, true},
		"too large, unavailable":    {failures(large, down), large, true},
		"unavailable, too large":    {failures(down, large), large, true},
		"all unavailable":           {failures(down, 0, down), down, true},
		"all too large":             {failures(large, large), large, false},
		"too large, invalid":        {failures(large, invalid), large, false},
		"one of several":            {failures(0, down, 0), down, true},
		"no failure":                {&leat.PublishError{}, leat.CodeInternal, false},
		"wrapped":                   {fmt.Errorf("publish: %w", failures(large, unknown)), unknown, true},
		"inside an Error":           {&leat.Error{Code: leat.CodePoisonQueue, Err: failures(large)}, leat.CodePoisonQueue, true},
		"joined, down and invalid":  {errors.Join(withCode(down), withCode(invalid)), invalid, false},
		"joined, invalid and down":  {errors.Join(withCode(invalid), withCode(down)), invalid, false},
		"joined, both may pass":     {errors.Join(withCode(down), withCode(leat.CodeExhausted)), down, true},
		"joined with two publishes": {errors.Join(failures(large, unknown), failures(down)), unknown, true},
		"joined with one for good":  {errors.Join(failures(down), failures(large)), large, false},
		"joined with another error": {errors.Join(errors.New("something"), withCode(down)), down, true},
		"joined with a context's":   {fmt.Errorf("%w: %w", context.Canceled, withCode(down)), down, true},
		"only a context's":          {fmt.Errorf("%w", context.DeadlineExceeded), leat.CodeCanceled, true},
		"nothing of Leat":           {errors.Join(errors.New("a"), errors.New("b")), leat.CodeInternal, false},
		"an outcome around it":      {leat.Reject(failures(large, unknown)), unknown, true},
		"nil":                       {nil, 0, false},
	} {
		assert.Equal(t, c.code, leat.CodeOf(c.err), name)
		assert.Equal(t, c.retry, leat.Retryable(c.err), name)
	}
}

func TestPublishErrorSplits(t *testing.T) {
	e := &leat.PublishError{Topic: "orders", Total: 5}
	for i, c := range []leat.Code{leat.CodeTooLarge, leat.CodeUnknown, leat.CodeUnavailable, leat.CodeUnknown} {
		e.Failures = append(e.Failures, leat.PublishFailure{Event: event(t, fmt.Sprint(i), ""), Err: withCode(c)})
	}
	assert.Equal(t, []string{"0", "2"}, idsOf(e.Refused()))
	assert.Equal(t, []string{"1", "3"}, idsOf(e.Unknown()))
	assert.Equal(t, []string{"0", "1", "2", "3"}, idsOf(e.Events()))
	assert.Empty(t, failures(leat.CodeTooLarge).Unknown())
}

func idsOf(events []leat.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID()
	}
	return ids
}

// Publishing what failed again, while that is retryable, ends with what is refused for good.
func TestRepublishingEnds(t *testing.T) {
	b := newFakeBroker()
	calls := 0
	b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
		calls++
		for i, e := range events {
			switch {
			case e.ID() == "large":
				done(i, withCode(leat.CodeTooLarge))
			case calls < 3:
				done(i, withCode(leat.CodeUnavailable))
			default:
				done(i, nil)
			}
		}
	}
	p := leat.NewProducer(b, nil)
	err := p.Publish(t.Context(), "orders", event(t, "large", ""), event(t, "1", ""))
	for leat.Retryable(err) {
		err = p.Publish(t.Context(), "orders", publishError(t, err).Events()...)
	}
	assert.Equal(t, 3, calls)
	assert.Equal(t, []string{"large"}, idsOf(publishError(t, err).Refused()))
}
