package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/backoff"
	"github.com/leatgo/leat/internal/ranges"
)

// RetryOptions are the options of [Retry]. The zero value works. With a field that is out of its
// range, [leat.Run] refuses the Consumer.
type RetryOptions struct {
	// MaxAttempts is how often the handler is called for an event, in this process, before it goes
	// to the poison queue. 0 means no limit where MaxElapsed is set, else 15, which with the
	// default delays takes about five minutes: longer than a restart or a failover of what the
	// handler needs should, and short enough for the later events of the key, which wait meanwhile.
	// 1 means no retry.
	MaxAttempts int
	// NoLimit tries for as long as it takes. It is for neither MaxAttempts nor MaxElapsed.
	NoLimit bool
	// MaxElapsed sends an event to the poison queue when an attempt fails this long, or longer,
	// after its first attempt in this process began. The last delay is cut so that an attempt
	// begins at this time. 0 means no limit.
	MaxElapsed time.Duration
	// InitialDelay is the delay after the first attempt. 0 means 100 ms.
	InitialDelay time.Duration
	// MaxDelay caps the delay. 0 means 1 minute. The stream's Capabilities.LongestHold caps it
	// further.
	MaxDelay time.Duration
	// Multiplier is how much longer each delay is than the one before, from 1 to 1,000. 0 means 2;
	// 1 is a constant delay.
	Multiplier float64
	// Jitter is the share of a delay that chance may take away, at most 1. 0 means 0.2: each delay
	// is 80 % to 100 % of what the other fields say.
	Jitter float64
	// NoJitter takes nothing away. It is for no Jitter.
	NoJitter bool
	// If tells which errors another attempt may cure; the others go to the poison queue at once.
	// Nil means all. It is not asked about a decision of the handler, and must be safe for
	// concurrent use.
	If func(error) bool
}

func (o *RetryOptions) withDefaults() RetryOptions {
	var r RetryOptions
	if o != nil {
		r = *o
	}
	if r.MaxAttempts == 0 && r.MaxElapsed == 0 && !r.NoLimit {
		r.MaxAttempts = 15
	}
	if r.InitialDelay == 0 {
		r.InitialDelay = 100 * time.Millisecond
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = time.Minute
	}
	if r.Multiplier == 0 {
		r.Multiplier = 2
	}
	if r.Jitter == 0 && !r.NoJitter {
		r.Jitter = 0.2
	}
	return r
}

// longest is the largest duration of an option of this package.
const longest = 365 * 24 * time.Hour

// validate returns the first thing that is wrong with options as they were given.
func (o *RetryOptions) validate() error {
	switch {
	case o == nil:
		return nil
	case o.NoLimit && (o.MaxAttempts != 0 || o.MaxElapsed != 0):
		return errors.New("RetryOptions.NoLimit contradicts MaxAttempts and MaxElapsed; leave them out, or NoLimit")
	case o.NoJitter && o.Jitter != 0:
		return errors.New("RetryOptions.NoJitter contradicts Jitter; set one of them")
	}
	return cmp.Or(
		ranges.Int("RetryOptions.MaxAttempts", o.MaxAttempts, 1, math.MaxInt32),
		ranges.Duration("RetryOptions.MaxElapsed", o.MaxElapsed, 1, longest),
		ranges.Duration("RetryOptions.InitialDelay", o.InitialDelay, 1, longest),
		ranges.Duration("RetryOptions.MaxDelay", o.MaxDelay, 1, longest),
		ranges.Float("RetryOptions.Multiplier", o.Multiplier, 1, 1_000),
		ranges.Float("RetryOptions.Jitter", o.Jitter, math.SmallestNonzeroFloat64, 1),
	)
}

// Retry decides what becomes of a handler's error: another attempt after a delay that grows
// ([leat.RetryAfter]), or, when the limits are reached, the poison queue ([leat.Reject]). It is
// policy only and never sleeps: the Consumer keeps the event, and the handler's slot is free for
// others meanwhile. A nil o means the defaults.
//
// What the handler decided by [leat.Reject], [leat.Postpone] or [leat.Pause] stays as it is, and so
// does a [leat.RetryAfter] until the limits, which it counts against, are reached. The error of a
// publish to a broker that is down ([leat.IsOutage]) is passed on unchanged: the Consumer tries
// again without counting, and If is not asked. An error that came because the Consumer ended the
// handler's context, on shutdown or with a lost lease, is no failure and is passed on unchanged;
// one from a [Timeout] or another deadline is a failure like any other.
//
// Outside of a Consumer, without a [leat.Info] in the context, every attempt is the first.
func Retry(o *RetryOptions) leat.Middleware {
	if err := o.validate(); err != nil {
		return unfit(err)
	}
	p := retryPolicy{RetryOptions: o.withDefaults()}
	p.backoff = backoff.Policy{Initial: p.InitialDelay, Max: p.MaxDelay, Multiplier: p.Multiplier, Jitter: p.Jitter}
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			err := next.Handle(ctx, e)
			if err == nil || endedByConsumer(ctx) {
				return err
			}
			return p.decide(ctx, err)
		})
	}
}

// retryPolicy is the options of a Retry, defaults filled in, and the backoff that they describe.
type retryPolicy struct {
	RetryOptions

	backoff backoff.Policy
}

// decide returns what becomes of an attempt that failed with err.
func (p *retryPolicy) decide(ctx context.Context, err error) error {
	decided := leat.IsDecided(err)
	if decided && (leat.IsRejected(err) || leat.IsPaused(err) || leat.IsPostponed(err) || leat.IsOutage(err)) {
		return err
	}
	if !decided && p.If != nil && !p.If(err) {
		return leat.Reject(err)
	}
	info, _ := leat.InfoFrom(ctx)
	attempt := max(info.Attempt, 1)
	var elapsed time.Duration
	if !info.FirstAttempt.IsZero() {
		elapsed = time.Since(info.FirstAttempt)
	}
	if p.MaxAttempts > 0 && attempt >= p.MaxAttempts || p.MaxElapsed > 0 && elapsed >= p.MaxElapsed {
		return leat.Reject(&aside.GaveUpError{Err: err, Text: fmt.Sprintf("gave up after %d %s in %v",
			attempt, plural("attempt", attempt), elapsed.Round(time.Millisecond))})
	}
	if decided {
		return err
	}
	delay := p.backoff.Delay(attempt, nil)
	if p.MaxElapsed > 0 {
		delay = min(delay, p.MaxElapsed-elapsed)
	}
	return leat.RetryAfter(delay, err)
}

// endedByConsumer reports whether the Consumer has ended ctx, which it does by cancelling it. A
// deadline was set by a middleware further out: what fails by it is a failure.
func endedByConsumer(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded)
}

func plural(noun string, n int) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
