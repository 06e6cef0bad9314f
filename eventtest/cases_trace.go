package eventtest

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/leatgo/leat"
)

// traceCases are about the trace context that travels beside events.
func traceCases() []Case {
	return []Case{
		{
			Name: "trace-context", Level: Raw,
			Rule: "P10, R7: the trace context of a publish's ctx is Delivery.Trace of its events and of no other, at every delivery, and " +
				"the event is unchanged",
			check: checkTraceContext,
		},
		{
			Name: "trace-context-foreign", Level: Raw, Needs: []Need{NeedInject},
			Rule:  "R7: bare headers traceparent and tracestate are Delivery.Trace, of what is malformed too; those that are not valid are none",
			check: checkForeignTrace,
		},
		{
			Name: "whole-trace-context", Level: Whole,
			Rule:  "P10, R7: a handler sees the trace context of its event at each attempt, and the poisoned message has it too",
			check: checkWholeTrace,
		},
	}
}

// Values of traceparent: of version 00, and of a later one that is as long as any may be.
const (
	traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	otherParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	laterParent = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"
)

// longestTrace is the largest trace context.
func longestTrace() leat.TraceContext {
	return leat.TraceContext{Parent: laterParent + strings.Repeat("x", 128-len(laterParent)), State: "a=" + strings.Repeat("~", 510)}
}

func traceText(t *leat.TraceContext) string {
	if t == nil {
		return "no trace context"
	}
	return fmt.Sprintf("traceparent %q, tracestate %q", t.Parent, t.State)
}

// traced is an event and the trace context that it is published under.
type traced struct {
	event leat.Event
	trace *leat.TraceContext // nil for none
}

// tracedEvents returns events of all kinds, some of which have extensions of the same names, which
// are independent.
func (r *run) tracedEvents(prefix string) []traced {
	longest := longestTrace()
	full := leat.TraceContext{Parent: traceParent, State: "rojo=00f067aa0ba902b7, congo=t61=\"1"}
	contexts := []*leat.TraceContext{{Parent: traceParent}, nil, &full, &longest, nil}
	all := make([]traced, 0, 2*len(contexts))
	for i, trace := range contexts {
		key := func(n int) string { return r.keyOf(n, 2*len(contexts)+1) }
		plain := r.event(fmt.Sprintf("%s-%d", prefix, 2*i), key(2*i))
		own := r.event(fmt.Sprintf("%s-%d", prefix, 2*i+1), key(2*i+1))
		own = own.WithExtension("traceparent", otherParent).WithExtension("tracestate", "own=1")
		all = append(all, traced{plain, trace}, traced{own, trace})
	}
	return all
}

// publishTraced publishes what stands together under one trace context in one call.
func (r *run) publishTraced(b leat.Broker, topic string, all []traced) {
	for i := 0; i < len(all); i += 2 {
		ctx := r.ctx
		if t := all[i].trace; t != nil {
			ctx = leat.ContextWithTrace(ctx, *t)
		}
		for _, err := range r.publish(ctx, b, topic, all[i].event, all[i+1].event) {
			r.must(err, "publishing with "+traceText(all[i].trace))
		}
	}
}

// expectTraced looks at deliveries of all of the events.
func (r *run) expectTraced(when string, got []leat.Delivery, all []traced) {
	byID := map[string]traced{}
	for _, e := range all {
		byID[e.event.ID()] = e
	}
	for i := range got {
		d := &got[i]
		want, known := byID[nameOf(d)]
		switch {
		case !known:
			r.notef("%s: nobody published %q", when, nameOf(d))
		case !d.Event.Equal(want.event):
			r.notef("%s: published %s\ndelivered %s", when, spellOut(want.event), spellOut(d.Event))
		case want.trace == nil && d.Trace != nil, want.trace != nil && (d.Trace == nil || *d.Trace != *want.trace):
			r.notef("%s: %s was published with %s and delivered with %s", when, nameOf(d), traceText(want.trace), traceText(d.Trace))
		}
	}
}

func checkTraceContext(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	all := r.tracedEvents("traced")
	r.publishTraced(b, topic, all)
	invalid := leat.ContextWithTrace(r.ctx, leat.TraceContext{Parent: strings.ToUpper(traceParent), State: "a=1"})
	last := traced{event: r.event("invalid", "k")}
	for _, err := range r.publish(invalid, b, topic, last.event) {
		r.must(err, "publishing under a trace context that is not valid")
	}
	all = append(all, last)
	got := rd.take(len(all))
	r.expectTraced("at first", got, all)
	rd.settle(givenBack(), got...)
	again := rd.take(len(all))
	r.expectTraced("given back", again, all)
	rd.close()
	other := r.join(b, topic, groupA)
	got = other.take(len(all))
	r.expectTraced("on another stream", got, all)
	other.settle(acked(), got...)
}

func checkForeignTrace(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	injector, _ := r.h.(Injector)
	longest := longestTrace()
	for i, c := range []struct {
		parent, state string
		want          *leat.TraceContext
	}{
		{traceParent, "", &leat.TraceContext{Parent: traceParent}},
		{longest.Parent, longest.State, &longest},
		{traceParent, longest.State + "x", &leat.TraceContext{Parent: traceParent}},
		{strings.ToUpper(traceParent), "a=1", nil},
		{traceParent[1:], "", nil},
		{"", "a=1", nil},
	} {
		raw := r.malformed(i, leat.Malformed{Body: fmt.Appendf(nil, "no event %d", i)})
		if c.parent != "" {
			raw.Headers = append(raw.Headers, leat.Header{Name: "traceparent", Value: []byte(c.parent)})
		}
		if c.state != "" {
			raw.Headers = append(raw.Headers, leat.Header{Name: "tracestate", Value: []byte(c.state)})
		}
		r.must(injector.Inject(r.ctx, topic, raw), "injecting")
		d := rd.take(1)[0]
		if d.Malformed == nil {
			r.failf("a message that is not a CloudEvent came as the event %v", d.Event)
		}
		if c.want == nil && d.Trace != nil || c.want != nil && (d.Trace == nil || *d.Trace != *c.want) {
			r.notef("traceparent %q and tracestate %q came as %s", c.parent, c.state, traceText(d.Trace))
		}
		r.expectHeaders(raw, d.Malformed)
		rd.settle(acked(), d)
	}
}

func checkWholeTrace(r *run) {
	b := r.open()
	l := r.newLedger(b)
	want := leat.TraceContext{Parent: traceParent, State: "suite=1"}
	rejected := l.event("k", 8)
	var mu sync.Mutex
	calls := map[string]int{}
	l.serve(b, func(ctx context.Context, e leat.Event) error {
		info, _ := leat.InfoFrom(ctx)
		if info.Trace == nil || *info.Trace != want {
			r.notef("attempt %d of %s: Info.Trace is %s, want %s", info.Attempt, e.ID(), traceText(info.Trace), traceText(&want))
		}
		mu.Lock()
		calls[e.ID()]++
		n := calls[e.ID()]
		mu.Unlock()
		switch {
		case n == 1:
			return errFailing
		case e.ID() == rejected.ID():
			return leat.Reject(errFailing)
		}
		return nil
	}, &leat.ConsumerOptions{PoisonQueue: l.poisonQueue(b), Middleware: []leat.Middleware{quickRetry()}})
	events, ctx := l.events(6, 3), leat.ContextWithTrace(r.ctx, want)
	r.must(l.publish(ctx, leat.NewProducer(b, nil), events...), "publishing")
	r.must(leat.NewProducer(b, nil).Publish(ctx, l.topic, rejected), "publishing what is rejected")
	l.await()
	rd := r.subscribe(b, leat.ReplayOf(r.subscription(l.topic, testGroup)))
	d := rd.take(1)[0]
	rd.settle(acked(), d)
	if d.Trace == nil || *d.Trace != want {
		r.notef("the poisoned message came with %s, want %s", traceText(d.Trace), traceText(&want))
	}
	if original, err := leat.PoisonedFrom(d.Event); err != nil || !original.Event.Equal(rejected) {
		r.notef("what is in the poison queue is not the event that was rejected: %v", err)
	}
}
