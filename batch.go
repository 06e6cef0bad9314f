package leat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/leatgo/leat/internal/ranges"
)

// BatchOptions are the options of [Batch]. The zero value works. With a field that is out of its
// range, [Run] refuses the Consumer.
type BatchOptions struct {
	// MaxEvents is how many events a batch has at most. Run refuses more than MaxInFlight of the
	// Consumer, because such a batch would never be full; with twice as many in flight, the next
	// batch gathers while one runs. 0 means 100.
	MaxEvents int
	// MaxWait is how long the first event of a batch waits for others. A batch does not wait when
	// it is full, nor when it certainly cannot get fuller: MaxInFlight is used up, the Consumer
	// pauses or stops, the broker wants an event back. An event with a deadline, such as that of a
	// middleware Timeout, waits for half of it at most. 0 means 100 ms.
	MaxWait time.Duration
	// SameKey says that the function handles several events of one key, which are in their order in
	// a batch, but not always next to each other. When one of them fails, the later ones of its key
	// in the batch are not done either, whatever the outcome says: they come again behind it, and
	// that counts as no attempt. The middleware of an event may then begin before the event ahead
	// of it is done. If it ends before that, because it does not call the Batch, its outcome does
	// not count: it runs again in the event's turn, and that counts as no attempt either. Without
	// SameKey a batch has at most one event of each key.
	//
	// It has an effect where the Consumer can see that the next event of the key leads to the same
	// Batch: given to [NewConsumer] or to a [Route], by itself or in a [Chain].
	SameKey bool
}

func (o *BatchOptions) validate() error {
	if o == nil {
		return nil
	}
	return cmp.Or(
		ranges.Int("BatchOptions.MaxEvents", o.MaxEvents, 1, math.MaxInt32),
		ranges.Duration("BatchOptions.MaxWait", o.MaxWait, 1, 365*24*time.Hour),
	)
}

func (o *BatchOptions) withDefaults() BatchOptions {
	var b BatchOptions
	if o != nil {
		b = *o
	}
	if b.MaxEvents == 0 {
		b.MaxEvents = 100
	}
	if b.MaxWait == 0 {
		b.MaxWait = 100 * time.Millisecond
	}
	return b
}

// BatchErrors is what the function of a [Batch] returns, as it is or wrapped, when its events have
// different outcomes: one for each event, in their order, each as a [Handler] returns it. Nil means
// that the event is done.
type BatchErrors []error

// Error returns one line that counts the failures and quotes the first.
func (b BatchErrors) Error() string {
	failed, first := 0, error(nil)
	for _, err := range b {
		if err != nil {
			failed++
			first = cmp.Or(first, err)
		}
	}
	if first == nil {
		return fmt.Sprintf("leat: batch: none of %d events failed", len(b))
	}
	return fmt.Sprintf("leat: batch: %d of %d events failed; the first: %v", failed, len(b), first)
}

// Batch returns a [Handler] that gathers events and hands them to fn together. It works wherever a
// Handler does. A nil o means the defaults.
//
// Each event goes through the middleware by itself, with its own attempts, retries and outcome. It
// waits in the Batch, without one of ConsumerOptions.Concurrency handlers, until the batch is full
// or MaxWait is over. fn returns nil when all events are done, [BatchErrors] for an outcome of
// each, or any other error, [Reject] and [Pause] included, as the outcome of all. BatchErrors of
// another length are an error of all events. So are those that errors.Join, or fmt.Errorf with
// several %w, put together with another error; and a panic, or a runtime.Goexit. Only the events
// that failed come again, in whatever batch is next then.
//
// At most ConsumerOptions.Concurrency batches of a Consumer run at once, and as many handlers of
// single events. While a full batch waits because that many batches run, the Consumer starts no
// other event, those of other routes included. A Consumer of their own keeps them apart. Events of
// one key keep their order, and are never in two batches that run at once.
//
// fn's context has the values of Run's, not those that middleware added for an event, and no
// [Info]: [InfoFrom] returns false. It ends as soon as that of one event does: with the lost lease
// of one, at the ShutdownTimeout, or by the middleware Timeout of the event that has waited
// longest. When it ends with the context of one event, errors of the others count as no attempt. fn
// may keep the slice.
//
// The context of an event that a middleware made includes the wait: a batch starts before half of
// the time is over that an event had until its deadline when it came. An event whose context ends
// while it waits all the same, such as behind a batch that runs, comes again and counts no attempt.
//
// Events that are outside a Consumer are batches of one.
func Batch(o *BatchOptions, fn func(ctx context.Context, events []Event) error) Handler {
	h := newBatchHandler(o)
	if fn == nil {
		h.invalid = errors.New("the function of the Batch is nil")
	} else {
		h.call = func(ctx context.Context, events []Event, _ []any) error { return fn(ctx, events) }
	}
	return h
}

// Batch returns the route for a function that gets several events and their decoded data at once;
// see [Batch]. vs[i] is the data of events[i]. What Decode refuses goes to the poison queue, and is
// in no batch. A nil fn makes a route without a handler, which [Router.Check] and [Run] refuse.
func (t EventType[T]) Batch(o *BatchOptions, fn func(ctx context.Context, events []Event, vs []T) error) Route {
	r := Route{Type: t.Name, Topic: t.Topic, Data: reflect.TypeFor[T]()}
	if fn == nil {
		return r
	}
	h := newBatchHandler(o)
	h.call = func(ctx context.Context, events []Event, values []any) error {
		vs := make([]T, len(values))
		for i, v := range values {
			vs[i] = *v.(*T) //nolint:forcetypeassert // decode below returns nothing else
		}
		return fn(ctx, events, vs)
	}
	h.decode = func(e Event) (any, error) {
		v, err := t.Decode(e)
		return &v, err
	}
	r.Handler = h
	return r
}

// batchHandler is what Batch returns.
type batchHandler struct {
	o       BatchOptions
	invalid error
	call    func(ctx context.Context, events []Event, values []any) error
	decode  func(e Event) (any, error) // nil where the function gets no values
	spare   sync.Pool                  // of *batchMember, to use again
}

func newBatchHandler(o *BatchOptions) *batchHandler {
	return &batchHandler{o: o.withDefaults(), invalid: o.validate()}
}

// Check implements subscriptionChecker.
func (h *batchHandler) Check(sub Subscription) error {
	err := h.invalid
	if err == nil && sub.MaxInFlight > 0 && h.o.MaxEvents > sub.MaxInFlight {
		err = fmt.Errorf("a batch of BatchOptions.MaxEvents (%d) is never full, because MaxInFlight is %d; lower the one, or raise the other",
			h.o.MaxEvents, sub.MaxInFlight)
	}
	if err == nil {
		return nil
	}
	return &Error{Op: "run", Topic: sub.Topic, Code: CodeInvalid, Err: err}
}

// Handle implements [Handler]: it returns when the batch of the event has run.
func (h *batchHandler) Handle(ctx context.Context, e Event) error {
	if h.invalid != nil {
		return &Error{Op: "handle", EventID: e.ID(), Code: CodeInvalid, Err: h.invalid}
	}
	var v any
	if h.decode != nil {
		var err error
		if v, err = h.decode(e); err != nil {
			return err
		}
	}
	a, ok := ctx.(*attempt)
	if !ok {
		a, _ = ctx.Value(attemptKey{}).(*attempt)
	}
	if a == nil || a.batch == nil {
		return h.alone(ctx, e, v)
	}
	return a.batch.engine.joinBatch(ctx, h, a, e, v)
}

// member returns what stands for an event in a batch.
func (h *batchHandler) member() *batchMember {
	if m, ok := h.spare.Get().(*batchMember); ok {
		return m
	}
	return &batchMember{wake: make(chan struct{}, 1)}
}

// reuse takes back what member returned.
func (h *batchHandler) reuse(m *batchMember) {
	*m = batchMember{wake: m.wake}
	h.spare.Put(m)
}

// alone runs a batch of one event outside of a Consumer.
func (h *batchHandler) alone(ctx context.Context, e Event, v any) error {
	err := h.call(context.WithValue(ctx, attemptKey{}, nil), []Event{e}, h.values(v))
	return batchOutcomes(err, 1).of(0)
}

func (h *batchHandler) values(v ...any) []any {
	if h.decode == nil {
		return nil
	}
	return v
}

// run calls the function, and makes an error of a panic.
func (h *batchHandler) run(ctx context.Context, events []Event, values []any) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked("the batch handler", v)
		}
	}()
	return h.call(ctx, events, values)
}

// outcomes are those of a batch.
type outcomes struct {
	all  error
	each BatchErrors // instead, when it is not nil
}

func (o outcomes) of(i int) error {
	if o.each != nil {
		return o.each[i]
	}
	return o.all
}

// batchOutcomes reads what the function of a Batch returned for n events. The error is foreign
// code.
func batchOutcomes(err error, n int) (o outcomes) {
	defer func() {
		if p := recover(); p != nil {
			o = outcomes{all: panicked("the batch handler's error", p)}
		}
	}()
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if _, decided := inner.(*verdict); decided { //nolint:errorlint // the chain is walked; a decision around it is that of all events
			return outcomes{all: err}
		}
		each, ok := inner.(BatchErrors) //nolint:errorlint // the same
		switch {
		case !ok:
		case len(each) == n:
			return outcomes{each: each}
		default:
			return outcomes{all: &Error{Op: "handle", Code: CodeHandler, Err: fmt.Errorf(
				"the batch handler returned %d outcomes (BatchErrors) for %d events; return one for each, nil where it is done, or one error for all",
				len(each), n)}}
		}
	}
	if _, joined := errors.AsType[BatchErrors](err); joined {
		err = fmt.Errorf("the batch handler returned BatchErrors together with another error, so it counts for all events; "+
			"return either: %w", err)
	}
	return outcomes{all: err}
}

// batchSize is how many events h gets at once at most; 0 where it is no Batch, nor one in a Chain.
func batchSize(h Handler) int {
	if b := batchFor(h, Event{}); b != nil {
		return b.o.MaxEvents
	}
	return 0
}

// batchFor returns the Batch that h leads e to, nil where there is none or that cannot be seen.
func batchFor(h Handler, e Event) *batchHandler {
	for {
		switch x := h.(type) {
		case *batchHandler:
			return x
		case *checkedHandler:
			h = x.inner
		case *Router:
			if x == nil {
				return nil
			}
			if h = x.byType[e.Type()]; h == nil {
				h = x.anyType
			}
		default:
			return nil
		}
	}
}
