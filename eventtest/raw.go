package eventtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// The groups that the raw cases use. Groups belong to a topic, and every case has topics of its
// own.
const (
	groupA = "a"
	groupB = "b"
)

// acked and givenBack are the settlements that most cases use.
func acked() leat.Settlement     { return leat.Settlement{Action: leat.Ack} }
func givenBack() leat.Settlement { return leat.Settlement{Action: leat.GiveBack} }

// openToClose returns an instance of the adapter that the case closes itself. It is closed again at
// the end, whatever that returns, since a case that looks at Close reports by itself what it thinks
// of it.
func (r *run) openToClose() leat.Broker {
	b, err := r.h.Open(r.ctx)
	r.must(err, "opening the adapter")
	r.cleanup(func() { _ = b.Close() })
	return b
}

// start returns an instance of the adapter and a fresh topic, for which it has declared the groups.
func (r *run) start(groups ...string) (b leat.Broker, topic string) {
	b, topic = r.open(), r.h.Topic()
	r.declare(b, topic, groups...)
	return b, topic
}

// declare makes sure that groups of a topic exist, so that what is published from then on is kept
// for them. An adapter that declares nothing makes them when it subscribes, or finds them made by
// its broker.
func (r *run) declare(b leat.Broker, topic string, groups ...string) {
	_, declares := b.(leat.Declarer)
	for _, group := range groups {
		sub := r.subscription(topic, group)
		if declares {
			r.must(leat.Declare(r.ctx, b, sub), "declaring the group "+group)
			continue
		}
		s, err := b.Subscribe(r.ctx, sub.WithDefaults())
		r.must(err, "subscribing once, so that the group "+group+" exists, as the adapter is no leat.Declarer")
		r.must(s.Close(r.ctx), "closing that stream")
	}
}

// event returns an event with that id and key.
func (r *run) event(id, key string) leat.Event {
	e, err := leat.NewEvent("test.v1", &leat.EventOptions{ID: id, Source: "/eventtest", Key: key, Data: []byte(id)})
	r.must(err, "making an event")
	return e
}

// series returns n events of one key with the ids key-0, key-1 and so on.
func (r *run) series(key string, n int) []leat.Event {
	events := make([]leat.Event, n)
	for i := range events {
		events[i] = r.event(fmt.Sprintf("%s-%d", key, i), key)
	}
	return events
}

// spread returns an event for each of n keys, with the ids name-key-0, name-key-1 and so on.
func (r *run) spread(name string, n int) []leat.Event {
	events := make([]leat.Event, n)
	for i := range events {
		events[i] = r.event(fmt.Sprintf("%s-key-%d", name, i), fmt.Sprintf("key-%d", i))
	}
	return events
}

// sized returns an event of the key k with n bytes of data.
func (r *run) sized(id string, n int) leat.Event {
	return r.event(id, "k").WithData("", make([]byte, n))
}

// tooLarge returns an event of one byte more than the broker, or Leat, takes. It may be invalid as
// well, as only With methods make it.
func (r *run) tooLarge(b leat.Broker, id string) leat.Event {
	e := r.sized(id, 0)
	return e.WithData("", make([]byte, maxEvent(b)+1-e.Size()))
}

// leatMaxEvent is Leat's own limit of an event.
const leatMaxEvent = 1 << 20

// maxEvent returns the size of the largest event that may be published.
func maxEvent(b leat.Broker) int {
	if n := b.Limits().MaxEventBytes; n > 0 {
		return min(n, leatMaxEvent)
	}
	return leatMaxEvent
}

// outcomes collects what done reports. It may be used by several goroutines at once.
type outcomes struct {
	mu      sync.Mutex
	errs    []error
	calls   []int
	missing int
}

func newOutcomes(n int) *outcomes {
	return &outcomes{errs: make([]error, n), calls: make([]int, n), missing: n}
}

// done keeps the first outcome of each event and counts the calls.
func (o *outcomes) done(i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls[i]++; o.calls[i] == 1 {
		o.errs[i] = err
		o.missing--
	}
}

// complete reports whether every event has its outcome.
func (o *outcomes) complete() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.missing == 0
}

// publish publishes and returns the outcome of each event once all are there.
func (r *run) publish(ctx context.Context, b leat.Broker, topic string, events ...leat.Event) []error {
	o := newOutcomes(len(events))
	b.Publish(ctx, topic, events, o.done)
	r.eventually("every publish was done", o.complete)
	return o.errs
}

// mustPublish publishes and fails the case when one event is not confirmed.
func (r *run) mustPublish(b leat.Broker, topic string, events ...leat.Event) {
	errs := r.publish(r.ctx, b, topic, events...)
	for i, e := range events {
		if errs[i] != nil {
			r.failf("publishing event %q: %v", e.ID(), errs[i])
		}
	}
}

// reader receives from a stream by hand, in the goroutine of the case, and settles nothing by
// itself.
type reader struct {
	r      *run
	stream leat.Stream
	sub    leat.Subscription
}

// subscribe opens a stream, which is closed when the case is over.
func (r *run) subscribe(b leat.Broker, sub leat.Subscription) *reader {
	s, err := b.Subscribe(r.ctx, sub.WithDefaults())
	r.must(err, "subscribing")
	return r.read(s, sub)
}

// rejoin opens a stream of a group after an outage, which may take several attempts.
func (r *run) rejoin(b leat.Broker, topic, group string) *reader {
	sub := r.subscription(topic, group)
	var s leat.Stream
	r.eventually("the adapter subscribes again", func() bool {
		var err error
		if s, err = b.Subscribe(r.ctx, sub.WithDefaults()); err != nil && !leat.Retryable(err) {
			r.failf("subscribing after an outage: %v", err)
		}
		return err == nil
	})
	return r.read(s, sub)
}

// restart kills the broker and starts it again.
func (r *run) restart() {
	killer, _ := r.h.(Killer)
	r.must(killer.Kill(r.ctx), "killing the broker")
	r.must(killer.Start(r.ctx), "starting the broker")
}

// read returns a reader of a stream, which is closed when the case is over.
func (r *run) read(s leat.Stream, sub leat.Subscription) *reader {
	if differs := r.claims(sub, s.Capabilities()); differs != "" {
		r.notef("%s", differs)
	}
	rd := &reader{r: r, stream: s, sub: sub}
	r.cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.opts.Patience)
		defer cancel()
		_ = s.Close(ctx)
	})
	return rd
}

// join opens a stream of a group.
func (r *run) join(b leat.Broker, topic, group string) *reader {
	return r.subscribe(b, r.subscription(topic, group))
}

// receive calls Receive once, for at most limit deliveries. It copes with a wrong n, which only one
// case is about.
func (rd *reader) receive(ctx context.Context, limit int) ([]leat.Delivery, error) {
	into := make([]leat.Delivery, limit)
	n, err := rd.stream.Receive(ctx, into)
	return into[:max(0, min(n, limit))], err
}

// batch is how many deliveries a reader asks for at a time where it does not matter.
const batch = 64

// take waits for n deliveries, and fails the case when they do not come in time.
func (rd *reader) take(n int) []leat.Delivery {
	ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.opts.Patience)
	defer cancel()
	var got []leat.Delivery
	for len(got) < n {
		ds, err := rd.receive(ctx, min(batch, n-len(got)))
		got = append(got, ds...)
		if err != nil {
			rd.r.failf("the group %q got %d of %d deliveries (%s) in %v (Options.Patience), then Receive: %v",
				rd.sub.Group, len(got), n, ids(got), rd.r.opts.Patience, err)
		}
	}
	return got
}

// until receives until the event with that id comes, and returns what came before it. Where a test
// is for the absence of an event, this takes no time: an event that is published last, with the
// same key, comes after everything that should not have come. Only where the stream keeps no order,
// what comes soon after counts as well.
func (rd *reader) until(id string) []leat.Delivery {
	var before []leat.Delivery
	for {
		d := rd.take(1)[0]
		if nameOf(&d) == id {
			if !rd.keepsOrder() {
				before = append(before, rd.poll(rd.r.opts.Quiet)...)
			}
			return before
		}
		rd.pass(d)
		if before = append(before, d); len(before) > 10_000 {
			rd.r.failf("%q did not come among %d deliveries", id, len(before))
		}
	}
}

// keepsOrder reports whether the stream promises the order of a key.
func (rd *reader) keepsOrder() bool {
	return rd.stream.Capabilities().Order != leat.OrderNone && !rd.sub.Unordered
}

// brief is how long a case waits that looks for the absence of something several times.
func (r *run) brief() time.Duration { return r.opts.Quiet / 4 }

// poll returns what comes within d.
func (rd *reader) poll(d time.Duration) []leat.Delivery {
	ctx, cancel := context.WithTimeout(rd.r.ctx, d)
	defer cancel()
	var got []leat.Delivery
	for {
		ds, err := rd.receive(ctx, batch)
		got = append(got, ds...)
		if err != nil {
			if ctx.Err() == nil {
				rd.r.failf("Receive: %v", err)
			}
			return got
		}
	}
}

// settle settles deliveries alike.
func (rd *reader) settle(how leat.Settlement, ds ...leat.Delivery) {
	for i := range ds {
		rd.stream.Settle(&ds[i], how)
	}
}

// close closes the stream, and fails the case when that fails.
func (rd *reader) close() {
	ctx, cancel := context.WithTimeout(rd.r.ctx, rd.r.opts.Patience)
	defer cancel()
	rd.r.must(rd.stream.Close(ctx), "closing the stream")
}

// nameOf returns the event's id, or what stands for it where it is malformed.
func nameOf(d *leat.Delivery) string {
	if d.Malformed != nil {
		return "malformed:" + string(d.Malformed.Body)
	}
	return d.Event.ID()
}

// ids lists deliveries for a person.
func ids(ds []leat.Delivery) string {
	var names []string
	for i := range ds {
		if names = append(names, nameOf(&ds[i])); i == 11 && len(ds) > 12 {
			names = append(names, fmt.Sprintf("and %d more", len(ds)-i-1))
			break
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, " ")
}

// expect fails the case unless the deliveries are the events, in that order.
func (r *run) expect(what string, got []leat.Delivery, want ...leat.Event) {
	same := len(got) == len(want)
	for i := 0; same && i < len(want); i++ {
		same = nameOf(&got[i]) == want[i].ID()
	}
	if !same {
		r.failf("%s: got %s, want %s", what, ids(got), eventIDs(want))
	}
}

// expectSet fails the case unless the deliveries are the events, each once, in any order.
func (r *run) expectSet(what string, got []leat.Delivery, want ...leat.Event) {
	times := map[string]int{}
	for i := range got {
		times[nameOf(&got[i])]++
	}
	for _, e := range want {
		if n := times[e.ID()]; n != 1 {
			r.notef("%s: %q came %d times, want once", what, e.ID(), n)
		}
		delete(times, e.ID())
	}
	for id, n := range times {
		r.notef("%s: %q came %d times, want never", what, id, n)
	}
}

func eventIDs(events []leat.Event) string {
	ds := make([]leat.Delivery, len(events))
	for i, e := range events {
		ds[i].Event = e
	}
	return ids(ds)
}

// expectCode fails the case unless err is an *leat.Error with that code.
func (r *run) expectCode(what string, err error, code leat.Code) {
	if e, ok := errors.AsType[*leat.Error](err); !ok || e.Code != code {
		r.notef("%s: got the error %v, want an *Error with the code %q", what, err, code)
	}
}

// holder is who holds a lease, as a Consumer would, and remembers what happened to it.
type holder struct {
	mu       sync.Mutex
	releases []func()
	ends     int
	cause    error
}

// hold attaches a holder to a lease.
func hold(l *leat.Lease) *holder { return holdUntil(l, func() {}) }

// holdUntil attaches a holder to a lease, which calls ended when that ends.
func holdUntil(l *leat.Lease, ended func()) *holder {
	h := &holder{}
	l.Attach(func(release func()) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.releases = append(h.releases, release)
	}, func(cause error) {
		ended()
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ends++
		h.cause = cause
	})
	return h
}

// ended returns how often the lease ended, and the last cause.
func (h *holder) ended() (times int, cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ends, h.cause
}

// asked reports whether a release is awaited.
func (h *holder) asked() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.releases) > 0
}

// release lets go of the lease if that is awaited.
func (h *holder) release() {
	h.mu.Lock()
	releases := h.releases
	h.releases = nil
	h.mu.Unlock()
	for _, f := range releases {
		f()
	}
}
