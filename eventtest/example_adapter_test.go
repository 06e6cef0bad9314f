package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
)

// This is the adapter of docs/writing-an-adapter.md, with a message broker to connect to. The broker keeps headers and bytes in slices,
// under one mutex. It gives all events of a group to one stream, and the next one when that is closed, so it holds order by key.

// server is the message broker. It knows nothing of CloudEvents.
type server struct {
	mu     sync.Mutex                   // guards everything below, in queues and streams too
	topics map[string]map[string]*queue // by topic and group
}

// message is what the server keeps. It is never changed.
type message struct {
	headers   []leat.Header
	key, body []byte
}

// queue is what a group has not acked yet.
type queue struct {
	turn    sync.Mutex     // held, before server.mu, while a lease ends; Settle does not take it
	entries []*entry       // in publish order
	streams []*slimStream  // the first gets the events, the others stand by
	held    map[string]int // unsettled deliveries by key
	blocked map[string]bool
	changed chan struct{} // closed when a Receive that waits must look again
}

// entry is a message in a queue.
type entry struct {
	message

	held       bool
	size       int
	deliveries int
}

// wake lets every Receive that waits look again. The caller holds the lock.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// store appends messages to each queue of a topic. The caller holds the lock.
func (sv *server) store(topic string, messages ...message) {
	for _, q := range sv.topics[topic] {
		for _, m := range messages {
			q.entries = append(q.entries, &entry{message: m})
		}
		q.wake()
	}
}

// slimBroker is the adapter: a connection to a server.
type slimBroker struct {
	server  *server
	streams []*slimStream
	closed  bool
}

var (
	_ leat.Broker         = (*slimBroker)(nil)
	_ leat.Declarer       = (*slimBroker)(nil)
	_ leat.HealthReporter = (*slimBroker)(nil)
)

const slimMaxEventBytes = 1 << 20

// failure makes the adapter's errors.
func failure(op, topic string, code leat.Code, text string) error {
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: errors.New(text)}
}

// refuse returns why no call can be served now, or nil. The caller holds the lock.
func (b *slimBroker) refuse(ctx context.Context, op, topic string) error {
	if b.closed {
		return failure(op, topic, leat.CodeClosed, "the broker is closed")
	}
	if ctx.Err() != nil {
		return &leat.Error{Op: op, Topic: topic, Code: leat.CodeCanceled, Err: ctx.Err()}
	}
	return nil
}

// Publish stores the events that are good. The server cannot fail, so that no outcome is ever unknown.
func (b *slimBroker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	outcomes := make([]error, len(events))
	b.server.mu.Lock()
	err := b.refuse(ctx, "publish", topic)
	if err == nil && b.server.topics[topic] == nil {
		err = failure("publish", topic, leat.CodeNotFound, "the topic does not exist; declare a subscription of it")
	}
	for i, e := range events {
		switch {
		case err != nil:
			outcomes[i] = err
		case e.IsZero():
			outcomes[i] = failure("publish", topic, leat.CodeInvalid, "the zero Event is no event")
		case e.Size() > slimMaxEventBytes:
			outcomes[i] = failure("publish", topic, leat.CodeTooLarge, "the event is larger than 1 MiB")
		default:
			b.server.store(topic, encode(e, leat.TraceFrom(ctx)))
		}
	}
	b.server.mu.Unlock()
	for i, err := range outcomes {
		done(i, err)
	}
}

// encode puts the attributes into headers, the trace context into two of its own, and the data into the body.
func encode(e leat.Event, trace *leat.TraceContext) message {
	m := message{key: []byte(e.Key())}
	for name, value := range e.Attributes() {
		m.headers = append(m.headers, leat.Header{Name: "ce-" + name, Value: []byte(value)})
	}
	if trace != nil {
		m.headers = append(m.headers, leat.Header{Name: "traceparent", Value: []byte(trace.Parent)})
		m.headers = append(m.headers, leat.Header{Name: "tracestate", Value: []byte(trace.State)})
	}
	if e.HasData() {
		m.body = append([]byte{}, e.Data()...)
	}
	return m
}

// decode is the way back. What is no CloudEvent becomes a Malformed.
func decode(m message) leat.Delivery {
	var attributes []leat.Header
	bare := map[string]string{}
	for _, h := range m.headers {
		if name, ok := strings.CutPrefix(h.Name, "ce-"); ok {
			attributes = append(attributes, leat.Header{Name: name, Value: h.Value})
		} else {
			bare[h.Name] = string(h.Value)
		}
	}
	d := leat.Delivery{Trace: leat.NewTraceContext(bare["traceparent"], bare["tracestate"])}
	e, err := leat.DecodeEvent(attributes, m.body)
	if err != nil {
		d.Malformed = &leat.Malformed{Headers: m.headers, Key: m.key, Body: m.body, Reason: err}
		return d
	}
	d.Event = e
	if e.Key() == "" {
		d.Key = string(m.key)
	}
	return d
}

// Declare creates topics and groups.
func (b *slimBroker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if err := b.refuse(ctx, "declare", ""); err != nil {
		return err
	}
	for _, sub := range subs {
		if err := check("declare", sub); err != nil {
			return err
		}
		if b.server.topics[sub.Topic] == nil {
			b.server.topics[sub.Topic] = map[string]*queue{}
		}
		if b.server.topics[sub.Topic][sub.Group] == nil {
			b.server.topics[sub.Topic][sub.Group] = &queue{
				held: map[string]int{}, blocked: map[string]bool{}, changed: make(chan struct{}),
			}
		}
	}
	return nil
}

// check returns why the server cannot hold a subscription, or nil. An Unordered one gets more than it asks for.
func check(op string, sub leat.Subscription) error {
	if sub.Broadcast {
		return failure(op, sub.Topic, leat.CodeUnsupported, "there is no broadcast; give each process a group of its own")
	}
	return sub.Validate()
}

// Subscribe opens a stream of a group that was declared.
func (b *slimBroker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := check("subscribe", sub); err != nil {
		return nil, err
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if err := b.refuse(ctx, "subscribe", sub.Topic); err != nil {
		return nil, err
	}
	q := b.server.topics[sub.Topic][sub.Group]
	if q == nil {
		return nil, failure("subscribe", sub.Topic, leat.CodeNotFound, "the topic or group does not exist; declare the subscription")
	}
	s := &slimStream{server: b.server, queue: q, sub: sub.WithDefaults(), lease: leat.NewLease()}
	q.streams = append(q.streams, s)
	b.streams = append(b.streams, s)
	return s, nil
}

func (b *slimBroker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: slimMaxEventBytes} }

func (b *slimBroker) Health() error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	return b.refuse(context.Background(), "health", "")
}

func (b *slimBroker) Close() error {
	b.server.mu.Lock()
	streams := b.streams
	b.closed, b.streams = true, nil
	b.server.mu.Unlock()
	for _, s := range streams {
		s.retire(nil, true)
	}
	return nil
}

// slimStream is a stream of a group.
type slimStream struct {
	server *server
	queue  *queue
	sub    leat.Subscription
	lease  *leat.Lease // nil while one ends, and when the stream is closed
	events int         // unsettled
	bytes  int         // of them
	closed bool
}

// Capabilities promises nothing that the suite has not seen.
func (s *slimStream) Capabilities() leat.Capabilities {
	return leat.Capabilities{Order: leat.OrderPerGroup, Standby: true, DeliveryCount: true}
}

func (s *slimStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		s.server.mu.Lock()
		closed, n := s.closed, 0
		if ctx.Err() == nil {
			n = s.fill(into)
		}
		changed := s.queue.changed
		s.server.mu.Unlock()
		switch {
		case closed:
			return 0, failure("receive", s.sub.Topic, leat.CodeClosed, "the stream is closed")
		case n > 0:
			return n, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeCanceled, Err: ctx.Err()}
		}
	}
}

// fill delivers what may be delivered now. The caller holds the lock.
func (s *slimStream) fill(into []leat.Delivery) (n int) {
	q := s.queue
	if s.lease == nil || q.streams[0] != s {
		return 0
	}
	for _, e := range q.entries {
		if n == len(into) || s.events == s.sub.MaxInFlight {
			break
		}
		if e.held || q.blocked[string(e.key)] {
			continue
		}
		d := decode(e.message)
		e.size = d.Event.Size()
		if d.Malformed != nil {
			e.size = d.Malformed.Size()
		}
		if s.events > 0 && s.bytes+e.size > s.sub.MaxInFlightBytes {
			break
		}
		e.held = true
		e.deliveries++
		q.held[string(e.key)]++
		s.events++
		s.bytes += e.size
		d.Lease, d.Deliveries, d.Handle, d.Tag = s.lease, e.deliveries, e, uint64(e.deliveries)
		into[n] = d
		n++
	}
	return n
}

func (s *slimStream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	e, ok := d.Handle.(*entry)
	if !ok || s.lease != d.Lease || !e.held || uint64(e.deliveries) != d.Tag {
		return // its lease has ended
	}
	q, key := s.queue, string(e.key)
	switch how.Action {
	case leat.Ack:
		i := slices.Index(q.entries, e)
		q.entries = slices.Delete(q.entries, i, i+1)
	case leat.GiveBack:
		q.blocked[key] = key != "" // until the key's others are settled, which may come back too and be older
	default:
		return // NativeReject is not offered
	}
	e.held = false
	s.events--
	s.bytes -= e.size
	if q.held[key]--; q.held[key] == 0 {
		delete(q.held, key)
		delete(q.blocked, key)
	}
	q.wake()
}

func (s *slimStream) Close(context.Context) error {
	s.retire(nil, true)
	return nil
}

// retire ends the stream's lease and gives back what it held. In between no settlement counts, and nobody gets the events.
func (s *slimStream) retire(cause error, closing bool) {
	q := s.queue
	q.turn.Lock()
	defer q.turn.Unlock()
	s.server.mu.Lock()
	lease := s.lease
	s.lease = nil
	s.closed = s.closed || closing
	s.server.mu.Unlock()
	if lease == nil {
		return // closed before
	}
	lease.End(cause) // calls the holder, which may settle
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if q.streams[0] == s {
		for _, e := range q.entries {
			e.held = false
		}
		clear(q.held)
		clear(q.blocked)
		s.events, s.bytes = 0, 0
	}
	if s.closed {
		q.streams = slices.DeleteFunc(q.streams, func(other *slimStream) bool { return other == s })
	} else {
		s.lease = leat.NewLease()
	}
	q.wake()
}

// slimHarness lets the suite open the adapter, inject raw messages and expire leases.
type slimHarness struct {
	server *server
	topics int
}

func (h *slimHarness) Open(context.Context) (leat.Broker, error) {
	return &slimBroker{server: h.server}, nil
}

func (h *slimHarness) Topic() string {
	h.topics++
	return fmt.Sprint("topic-", h.topics)
}

func (h *slimHarness) Inject(_ context.Context, topic string, m leat.Malformed) error {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	h.server.store(topic, message{headers: m.Headers, key: m.Key, body: m.Body})
	return nil
}

func (h *slimHarness) InjectKeyed(_ context.Context, topic, key string, e leat.Event) error {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	m := encode(e, nil)
	m.key = []byte(key)
	h.server.store(topic, m)
	return nil
}

func (h *slimHarness) Expire(_ context.Context, topic, group string) error {
	h.server.mu.Lock()
	streams := slices.Clone(h.server.topics[topic][group].streams)
	h.server.mu.Unlock()
	for _, s := range streams {
		s.retire(errors.New("the harness took the lease away"), false)
	}
	return nil
}

func TestExampleAdapterConforms(t *testing.T) {
	eventtest.TestAdapter(t, &slimHarness{server: &server{topics: map[string]map[string]*queue{}}}, nil)
}
