package middleware

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/aside"
	"github.com/leatgo/leat/internal/ranges"
)

// CircuitBreakerOptions are the options of [CircuitBreaker]. The zero value works. With a field
// that is out of its range, [leat.Run] refuses the Consumer.
type CircuitBreakerOptions struct {
	// FailureRate is the share of failures, from 0 to 1, at which the circuit opens. 0 means 0.5.
	FailureRate float64
	// MinCalls is how many calls there must have been in the Window before the rate says something.
	// 0 means 20.
	MinCalls int
	// Window is the time that calls count for, in steps of a tenth. 0 means 30 s.
	Window time.Duration
	// InitialPause is how long the Consumer pauses at first. Each probe that fails doubles it. 0
	// means 5 s.
	InitialPause time.Duration
	// MaxPause caps the pause. 0 means 1 minute.
	MaxPause time.Duration
	// If tells which errors are failures of what the handlers need, and not of an event. It must be
	// safe for concurrent use. Nil means [IsInfrastructure].
	If func(error) bool
	// Logger gets a record when the circuit opens, stays open and closes. Nil means no log.
	Logger *slog.Logger
}

// IsInfrastructure reports whether err says that something which handlers need is down or slow: an
// outage of a broker ([leat.IsOutage]), a deadline, as that of [Timeout], an error of the network
// ([net.Error]), or a connection to a database that is gone ([driver.ErrBadConn],
// [sql.ErrConnDone]).
func IsInfrastructure(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || leat.IsOutage(err) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// CircuitBreaker pauses the whole Consumer ([leat.Pause]) while what its handlers need is down, so
// that no event uses up its attempts meanwhile. The circuit opens when the rate of failures in the
// Window reaches FailureRate. After the pause one event probes while the others wait: with its
// success the circuit closes, with its failure the next pause begins, twice as long. While the
// circuit is open, no failure counts as an attempt, also of handlers that began before. The reason
// of the pause, with the text of the newest error, is in the health of the Consumer. A nil o means
// the defaults.
//
// A probe that fails counts no attempt either, with one exception. An event that times out as a
// probe, and does so again as the very next one, may itself be the cause: from the second time on,
// its timeouts are returned as they are and count, so that [Retry] can give the event up. A timeout
// is an error that is [context.DeadlineExceeded], as that of [Timeout], or says so ([net.Error]).
// This needs an outage in which no other event probes: where all have one key, or only one has
// come. There, an outage that shows as timeouts uses up the attempts of the first event, one for
// each MaxPause: with the defaults of Retry it is poisoned after about 15 minutes. Give Retry a
// MaxAttempts that lasts longer than your outages, or NoLimit, if that must not be.
//
// When a probe has not returned within MaxPause, another event probes too. A handler that hangs
// keeps its place of ConsumerOptions.Concurrency: put a Timeout inside, so that probes end.
//
// A failure is an error that If says is one. A decision by [leat.Reject], [leat.Postpone] or
// [leat.Pause], and an attempt that the Consumer ended, say nothing either way. Every other outcome
// is a success: what the handler needs has answered.
//
// Put it inside of [Retry], which sees the pause then. Consumers that use this one Middleware share
// the circuit.
func CircuitBreaker(o *CircuitBreakerOptions) leat.Middleware {
	if o == nil {
		o = &CircuitBreakerOptions{}
	}
	err := cmp.Or(
		ranges.Float("CircuitBreakerOptions.FailureRate", o.FailureRate, math.SmallestNonzeroFloat64, 1),
		ranges.Int("CircuitBreakerOptions.MinCalls", o.MinCalls, 1, math.MaxInt32),
		ranges.Duration("CircuitBreakerOptions.Window", o.Window, time.Millisecond, longest),
		ranges.Duration("CircuitBreakerOptions.InitialPause", o.InitialPause, 1, longest),
		ranges.Duration("CircuitBreakerOptions.MaxPause", o.MaxPause, 1, longest),
	)
	if err != nil {
		return unfit(err)
	}
	b := &breaker{
		rate: cmp.Or(o.FailureRate, 0.5), least: cmp.Or(o.MinCalls, 20), window: cmp.Or(o.Window, 30*time.Second),
		first: cmp.Or(o.InitialPause, 5*time.Second), longest: cmp.Or(o.MaxPause, time.Minute), failed: o.If, log: o.Logger,
	}
	b.first = min(b.first, b.longest)
	if b.failed == nil {
		b.failed = IsInfrastructure
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error { return b.handle(ctx, e, next) })
	}
}

// probeWait is for how long the others are paused while one event probes. Nobody knows how long
// that takes, and what is paused is not resumed by its end.
const probeWait = 200 * time.Millisecond

// breaker is a circuit. It is open while pause is not 0.
type breaker struct {
	rate           float64
	least          int
	window         time.Duration
	first, longest time.Duration // of the pauses
	failed         func(error) bool
	log            *slog.Logger

	mu      sync.Mutex
	calls   callWindow
	pause   time.Duration // the present one, or, while an event probes, the last
	until   time.Time     // the end of the pause
	opened  time.Time
	probes  int       // how many there were; the newest one's number
	probing time.Time // since when the newest one runs; zero when it is over
	failing probeOf   // the event whose timeout ended the last probe
	cause   string    // the text of the newest failure while the circuit is open
}

// probeOf is the event that a probe was made with.
type probeOf struct{ topic, group, source, id string }

// openError is the reason of a pause. Only for the event that failed it wraps the failure: others
// have neither failed nor panicked.
type openError struct {
	text string
	err  error
}

func (o *openError) Error() string { return o.text }
func (o *openError) Unwrap() error { return o.err }

// textOf reads the text of an error, which is foreign code: so without the lock.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("an error of the type %T, which panics when it is read", err)
		}
	}()
	if err == nil {
		return ""
	}
	return err.Error()
}

// evidence is what the outcome of a call says.
type evidence uint8

const (
	saysNothing evidence = iota
	saysWell
	saysSlow // it failed by a timeout, which may be the event's own
	saysFailed
)

func (e evidence) failed() bool { return e >= saysSlow }

func (b *breaker) handle(ctx context.Context, e leat.Event, next leat.Handler) error {
	probe, err := b.admit(time.Now())
	if err != nil {
		if ctx.Value(aside.CrashKey{}) != nil {
			return next.Handle(ctx, e) // what is inside of it has to judge the attempt that was made
		}
		return err
	}
	returned := false
	defer func() {
		if !returned { // it panicked, or left by runtime.Goexit
			_ = b.done(ctx, e, probe, saysNothing, nil)
		}
	}()
	err = next.Handle(ctx, e)
	said := b.judge(ctx, err)
	returned = true
	return b.done(ctx, e, probe, said, err)
}

// judge says what an outcome says. It calls code from outside, so without the lock.
func (b *breaker) judge(ctx context.Context, err error) evidence {
	switch {
	case err == nil:
		return saysWell
	case endedByConsumer(ctx), leat.IsRejected(err), leat.IsPostponed(err) && !leat.IsOutage(err), leat.IsPaused(err):
		return saysNothing
	case b.failed(err):
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded) {
			return saysSlow
		}
		return saysFailed
	}
	return saysWell
}

// admit returns the pause of a call that has to wait, or the number of the probe that the call is,
// 0 for none.
func (b *breaker) admit(now time.Time) (probe int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.pause == 0:
		return 0, nil
	case now.Before(b.until):
		return 0, leat.Pause(b.until.Sub(now), b.reason("the circuit is open", nil))
	case !b.probing.IsZero() && now.Sub(b.probing) < b.longest:
		return 0, leat.Pause(probeWait, b.reason("the circuit is open, and one event probes", nil))
	}
	b.probes++
	b.probing = now
	return b.probes, nil
}

// reason is that of a pause; err is the failure of the event itself, if it has failed. The lock is
// held.
func (b *breaker) reason(state string, err error) error {
	return &openError{fmt.Sprintf("%s since %s: %s", state, b.opened.UTC().Format(time.RFC3339), b.cause), err}
}

// done takes the outcome of a call, and returns what becomes of its event.
func (b *breaker) done(ctx context.Context, e leat.Event, probe int, said evidence, err error) error {
	text := ""
	if said.failed() {
		text = textOf(err)
	}
	info, _ := leat.InfoFrom(ctx)
	r, err := b.note(probeOf{info.Topic, info.Group, e.Source(), e.ID()}, probe, said, err, text)
	r.write(ctx, b.log)
	return err
}

// note is done with the lock held. It calls no foreign code.
func (b *breaker) note(of probeOf, probe int, said evidence, err error, text string) (*breakerRecord, error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	newest := probe > 0 && probe == b.probes
	if newest {
		b.probing = time.Time{} // and where it says nothing, the next event probes
	}
	switch {
	case said == saysNothing:
	case b.pause == 0:
		b.calls.add(now, b.window, said.failed())
		calls, failures := b.calls.sum()
		if said.failed() && calls >= b.least && float64(failures) >= b.rate*float64(calls) {
			b.opened, b.pause = now, b.first
			r, err := b.begin(now, "circuit opens: the consumer pauses", err, text)
			r.attrs = append(r.attrs, slog.Int("calls", calls), slog.Int("failures", failures))
			return r, err
		}
	case newest && said.failed():
		b.pause = min(2*b.pause, b.longest)
		r, paused := b.begin(now, "circuit stays open: the probe failed", err, text)
		if said == saysSlow && of == b.failing {
			return r, err // it may be the cause itself: it counts
		}
		b.failing = probeOf{}
		if said == saysSlow {
			b.failing = of
		}
		return r, paused
	case said.failed(): // it began before the circuit opened, or was given up as a probe
		b.cause = text
		return nil, leat.Pause(b.until.Sub(now), b.reason("the circuit is open", err))
	case probe > 0:
		r := &breakerRecord{slog.LevelInfo, "circuit closes: the probe succeeded", []slog.Attr{slog.Duration("open", now.Sub(b.opened))}}
		b.pause, b.cause, b.calls, b.failing, b.probing = 0, "", callWindow{}, probeOf{}, time.Time{}
		return r, err
	}
	return nil, err
}

// begin begins a pause because of err. The lock is held.
func (b *breaker) begin(now time.Time, what string, err error, text string) (*breakerRecord, error) {
	b.until, b.cause = now.Add(b.pause), text
	return &breakerRecord{slog.LevelWarn, what, []slog.Attr{
		slog.Duration("pause", b.pause), slog.String("error", cut(text, maxLoggedError)),
	}}, leat.Pause(b.pause, b.reason("the circuit is open", err))
}

// breakerRecord is a record of the log, which is written when the lock is free. Nil is none.
type breakerRecord struct {
	level slog.Level
	what  string
	attrs []slog.Attr
}

func (r *breakerRecord) write(ctx context.Context, l *slog.Logger) {
	if r == nil {
		return
	}
	info, _ := leat.InfoFrom(ctx)
	//nolint:sloglint // one of three constants
	l.LogAttrs(ctx, r.level, r.what, append(r.attrs, slog.String("topic", info.Topic), slog.String("group", info.Group))...)
}

// callWindow counts calls of the newest window, in tenths of it.
type callWindow struct {
	steps [10]struct{ calls, failures int }
	step  int64 // the number of the newest step, since the zero time
}

func (w *callWindow) add(now time.Time, window time.Duration, failed bool) {
	step := now.UnixNano() / max(int64(window)/int64(len(w.steps)), 1)
	if w.step == 0 || step-w.step >= int64(len(w.steps)) || step < w.step {
		*w = callWindow{step: step}
	}
	for ; w.step < step; w.step++ {
		w.steps[(w.step+1)%int64(len(w.steps))] = struct{ calls, failures int }{}
	}
	at := &w.steps[step%int64(len(w.steps))]
	at.calls++
	if failed {
		at.failures++
	}
}

func (w *callWindow) sum() (calls, failures int) {
	for _, s := range w.steps {
		calls += s.calls
		failures += s.failures
	}
	return calls, failures
}
