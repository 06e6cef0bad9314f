package eventtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/leatgo/leat"
)

// receiveCases are the cases about receiving at the raw level.
func receiveCases() []Case {
	return []Case{
		{
			Name: "receive-fills", Level: Raw,
			Rule:  "R1: Receive returns 1 <= n <= len(into) and no error, or 0 and an error, and fills into from its start",
			check: checkReceiveFills,
		},
		{
			Name: "receive-canceled", Level: Raw,
			Rule:  "R1: when ctx ends, Receive returns an error that is ctx.Err() by errors.Is, soon, and no event is lost",
			check: checkReceiveCanceled,
		},
		{
			Name: "into-reused", Level: Raw,
			Rule:  "R6: into belongs to the caller; a copy of a delivery settles it",
			check: checkIntoReused,
		},
		{
			Name: "max-in-flight", Level: Raw,
			Rule:  "R5: unsettled deliveries never exceed MaxInFlight, and a settled one makes room",
			check: checkMaxInFlight,
		},
		{
			Name: "max-in-flight-bytes", Level: Raw,
			Rule:  "R5: unsettled deliveries never exceed MaxInFlightBytes, unless there is only one",
			check: checkMaxInFlightBytes,
		},
		{
			Name: "malformed", Level: Raw, Needs: []Need{NeedInject},
			Rule:  "R4: what is not a CloudEvent arrives as Malformed with its bytes, the same at every delivery, and the stream goes on",
			check: checkMalformed,
		},
	}
}

func checkReceiveFills(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.spread("e", 60)
	r.mustPublish(b, topic, events...)
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	var got []leat.Delivery
	for i := 0; len(got) < len(events); i++ {
		into := make([]leat.Delivery, []int{1, 7, 100}[i%3])
		n, err := rd.stream.Receive(ctx, into)
		if err != nil || n < 1 || n > len(into) {
			r.failf("Receive into %d: n is %d, the error %v", len(into), n, err)
		}
		for k := range n {
			if d := &into[k]; d.Lease == nil || d.Event.IsZero() == (d.Malformed == nil) {
				r.failf("delivery %d of %d: lease %p, event %v, malformed %v", k, n, d.Lease, d.Event, d.Malformed)
			}
		}
		got = append(got, into[:n]...)
	}
	r.expectSet("received", got, events...)
	ended, end := context.WithCancel(r.ctx)
	end()
	if n, err := rd.stream.Receive(ended, make([]leat.Delivery, 1)); n != 0 || err == nil {
		r.notef("Receive with nothing to deliver and a ctx that has ended: n is %d, the error %v", n, err)
	}
}

func checkReceiveCanceled(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	ended, end := context.WithCancel(r.ctx)
	end()
	const rounds, each = 15, 4
	var events []leat.Event
	var got []leat.Delivery
	canceled := func(ctx context.Context) {
		ds, err := rd.receive(ctx, batch)
		if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err()) || leat.CodeOf(err) != leat.CodeCanceled) {
			r.failf("ctx ended during Receive with %v, and Receive with the error %v", ctx.Err(), err)
		}
		rd.pass(ds...)
		got = append(got, ds...)
	}
	for i := range rounds {
		more := r.spread(fmt.Sprint("canceled-", i), each)
		events = append(events, more...)
		short, cancel := context.WithTimeout(r.ctx, time.Duration(r.rand.IntN(int(time.Millisecond))))
		if i%2 == 0 {
			canceled(ended)
		}
		r.mustPublish(b, topic, more...)
		canceled(ended)
		canceled(short)
		cancel()
	}
	const wait = 5 * time.Millisecond
	watch := r.stopwatch()
	waiting, cancel := context.WithTimeout(r.ctx, wait)
	defer cancel()
	for waiting.Err() == nil {
		canceled(waiting)
	}
	if took := watch.took() - wait; took > cancelBound {
		r.notef("Receive returned %v after its ctx had ended", took)
	}
	r.expectSet("after cancelled Receives", append(got, rd.all(len(events)-len(got))...), events...)
}

func checkIntoReused(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	events := r.series("k", 12)
	r.mustPublish(b, topic, events...)
	into := make([]leat.Delivery, 3)
	for got := 0; got < len(events); {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
		n, err := rd.stream.Receive(ctx, into)
		cancel()
		r.must(err, "receiving")
		copies := slices.Clone(into[:n])
		clear(into)
		rd.settle(acked(), copies...)
		got += n
	}
	rd.close()
	last := r.event("last", "k")
	r.mustPublish(b, topic, last)
	if again := r.join(b, topic, groupA).until(last.ID()); len(again) > 0 {
		r.failf("acked by a copy, and delivered again: %s", ids(again))
	}
}

func checkMaxInFlight(r *run) {
	b, topic := r.start(groupA)
	const limit = 5
	sub := r.subscription(topic, groupA)
	sub.MaxInFlight = limit
	rd := r.subscribe(b, sub)
	events := r.spread("e", 4*limit)
	r.mustPublish(b, topic, events...)
	held := rd.take(limit)
	got := slices.Clone(held)
	for _, settled := range []int{0, 2, limit} {
		rd.settle(acked(), held[:settled]...)
		held = append(held[settled:], rd.take(settled)...)
		got = append(got, held[limit-settled:]...)
		if more := rd.poll(r.brief()); len(more) > 0 {
			r.failf("%d deliveries were unsettled, as many as allowed, and %d more came", limit, len(more))
		}
	}
	for len(got) < len(events) {
		rd.settle(acked(), held...)
		held = rd.take(min(limit, len(events)-len(got)))
		got = append(got, held...)
	}
	r.expectSet("received", got, events...)
}

func checkMaxInFlightBytes(r *run) {
	b, topic := r.start(groupA)
	const size, limit = 4 << 10, 10 << 10
	sub := r.subscription(topic, groupA)
	sub.MaxInFlight, sub.MaxInFlightBytes = 100, limit
	rd := r.subscribe(b, sub)
	events := []leat.Event{
		r.sized("small-0", size), r.sized("small-1", size), r.sized("small-2", size),
		r.sized("large", 2*limit), r.sized("small-3", size),
	}
	for i := range events {
		events[i] = events[i].WithKey(r.keyOf(i, len(events)))
	}
	r.mustPublish(b, topic, events...)
	var got []leat.Delivery
	for len(got) < len(events) {
		held := rd.take(1)
		held = append(held, rd.poll(r.brief()/2)...)
		total := 0
		for i := range held {
			total += held[i].Event.Size()
		}
		if len(held) > 1 && total > limit {
			r.failf("%s have %d bytes and are unsettled; %d are allowed", ids(held), total, limit)
		}
		rd.settle(acked(), held...)
		got = append(got, held...)
	}
	r.expectSet("received", got, events...)
}

func checkMalformed(r *run) {
	b, topic := r.start(groupA)
	rd := r.join(b, topic, groupA)
	injector, ok := r.h.(Injector)
	if !ok {
		return
	}
	raw := r.malformed(0, leat.Malformed{
		Headers: []leat.Header{
			{Name: "some-header", Value: []byte("v\x01")}, {Name: "twice", Value: []byte("1")}, {Name: "other", Value: []byte("2")},
			{Name: "twice", Value: []byte("0")}, {Name: "a-last-one", Value: []byte("3")},
		},
		Key: []byte("k"), Body: []byte("{\"no\": cloud event\xff\x00}"),
	})
	events := []leat.Event{r.event("before", r.keyOf(0, 3)), r.event("after", r.keyOf(1, 3))}
	r.mustPublish(b, topic, events[0])
	r.must(injector.Inject(r.ctx, topic, raw), "injecting")
	r.mustPublish(b, topic, events[1])
	var first *leat.Malformed
	for range 2 { // at first, and again
		bad := 0
		got := rd.take(3)
		for i := range got {
			if got[i].Malformed == nil {
				continue
			}
			bad++
			r.expectMalformed(raw, &got[i])
			if first == nil {
				first = got[i].Malformed
			} else if !slices.EqualFunc(first.Headers, got[i].Malformed.Headers, sameHeader) {
				r.notef("the headers came as %q, and again as %q; poison queues know a message by them", first.Headers, got[i].Malformed.Headers)
			}
		}
		if bad != 1 {
			r.notef("%d malformed deliveries came, want 1", bad)
		}
		rd.settle(givenBack(), got...)
	}
}

// expectMalformed looks at a delivery of an injected message.
func (r *run) expectMalformed(raw leat.Malformed, d *leat.Delivery) {
	m := d.Malformed
	if !bytes.Equal(m.Body, raw.Body) || !bytes.Equal(m.Key, raw.Key) {
		r.notef("the bytes changed: key %q body %q, injected key %q body %q", m.Key, m.Body, raw.Key, raw.Body)
	}
	r.expectHeaders(raw, m)
	if m.Reason == nil || !d.Event.IsZero() || d.Lease == nil {
		r.notef("a malformed delivery with reason %v, lease %p and event %v", m.Reason, d.Lease, d.Event)
	}
}

func sameHeader(a, b leat.Header) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }
