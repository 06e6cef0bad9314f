package eventtest_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/leatgo/leat/adapterkit/wire"
)

// This is the adapter of docs/writing-an-adapter.md. Its broker is in example_server_test.go, the
// client library of that broker in example_client_test.go.

// exampleOptions are the options of the adapter. Hosts is required.
type exampleOptions struct {
	Hosts        []string
	Term         time.Duration // for which the broker lends a message
	BufferBytes  int           // of events that the broker has not confirmed
	CloseTimeout time.Duration
}

func (o *exampleOptions) table() options.Table {
	return options.Table{
		options.Hosts(&o.Hosts, "7777"),
		options.Duration("Term", &o.Term, 30*time.Second, time.Second, time.Hour),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1<<10, 1<<40),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, time.Millisecond, time.Hour),
	}
}

// openExample is the leat.Opener of the adapter.
func openExample(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, func(o *exampleOptions, r *options.Reader) { o.table().Read(r) }, newBroker)
}

type broker struct {
	o      exampleOptions
	life   lifecycle.Life[*stream]
	client *client
	ledger *publish.Ledger[Message]
	queue  publish.Queue[Message]
}

var (
	_ leat.Declarer       = (*broker)(nil)
	_ leat.HealthReporter = (*broker)(nil)
	_ leat.LagReporter    = (*broker)(nil)
	_ leat.Withdrawer     = (*broker)(nil)
	_ leat.HealthReporter = (*stream)(nil)
	_ leat.Quiescer       = (*stream)(nil)
)

func newBroker(o *exampleOptions) (*broker, error) {
	b := &broker{o: *o}
	b.o.table().Fill()
	if err := b.o.table().Check(); err != nil {
		return nil, options.Invalid(err)
	}
	b.client = newClient(b.o.Hosts, min(b.o.Term/2, 5*time.Second)) // connects again while leases last
	b.ledger = publish.New[Message](publish.Options{
		Bytes: b.o.BufferBytes, Trouble: func() error { return b.unwell("") },
	})
	b.life.Tasks.Go(b.send)
	return b, nil
}

const exampleMaxBytes = 1 << 20 // of an event

func (b *broker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: exampleMaxBytes} }

// Publish hands events to the ledger, which bounds them and reports their outcomes.
func (b *broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	trace := leat.TraceFrom(ctx)
	b.ledger.Publish(ctx, topic, events, done, func(e leat.Event, m *Message) error {
		*m = encode(topic, e, trace)
		return cmp.Or(b.life.RefusePublish(ctx, topic), publish.Check(e, exampleMaxBytes))
	}, b.queue.PushAll)
}

// send publishes what waits in the queue, one request after the other, which keeps the order.
func (b *broker) send() {
	for {
		conn, err := b.client.ready(context.Background())
		if err != nil {
			return // the client is closed
		}
		entries, messages := b.queue.Take(conn.lost, 100, 1<<20)
		for i, err := range b.client.publish(conn, messages) {
			if errors.Is(err, errNoTopic) {
				err = &leat.Error{Code: leat.CodeNotFound, Err: err}
			}
			entries[i].Done(err) // any other error leaves open whether the event is stored
		}
	}
}

func (b *broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.ledger.Withdraw(ctx, topic, events)
}

func exampleBinding() wire.Binding {
	return wire.Binding{Prefix: "ce-", ContentType: "content-type", Empty: "leat-data"}
}

func encode(topic string, e leat.Event, trace *leat.TraceContext) Message {
	m := Message{Topic: brokerName(topic), Key: e.Key(), Body: e.Data()}
	w := wire.Writer{Binding: exampleBinding()}
	for name, value := range w.Headers(e) {
		m.Headers = append(m.Headers, Header{name, value})
	}
	if trace != nil {
		m.Headers = append(m.Headers,
			Header{wire.TraceParent, trace.Parent}, Header{wire.TraceState, trace.State})
	}
	return m
}

func decode(m *Message) (d leat.Delivery, size int) {
	var r wire.Reader
	var headers []leat.Header
	r.Begin(exampleBinding(), len(m.Headers))
	for _, h := range m.Headers {
		r.AddText(h.Name, h.Value)
		headers = append(headers, leat.Header{Name: h.Name, Value: []byte(h.Value)})
	}
	return r.Delivery(headers, m.Key, m.Body), m.size() + wire.Excess(len(headers))
}

// brokerName makes the names of topics and queues, which are shorter than Leat's.
func brokerName(parts ...string) string { return adapterkit.Names{MaxBytes: 60}.Name(parts...) }

// Declare creates topics and queues.
func (b *broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	for _, sub := range subs {
		if err := sub.ValidateDeclare(); err != nil {
			return err
		}
		if _, err := b.declare(ctx, "declare", sub); err != nil {
			return err
		}
	}
	return nil
}

// declare returns the queue of a subscription. A broadcast has one of its own, which goes with it.
func (b *broker) declare(ctx context.Context, op string, sub leat.Subscription) (string, error) {
	queue := brokerName(sub.Topic, cmp.Or(sub.Group, rand.Text()))
	return queue, b.ask(ctx, op, sub.Topic, "Declare", Declaration{
		Topic: brokerName(sub.Topic), Queue: queue, Label: sub.Topic + " " + sub.Group,
		Temporary: sub.Group == "", Open: op == "subscribe",
	}, &struct{}{})
}

// ask makes a call of the broker for a call of the adapter.
func (b *broker) ask(ctx context.Context, op, topic, method string, in, out any) error {
	if err := b.life.Refuse(ctx, op, topic); err != nil {
		return err
	}
	err := b.client.call(ctx, method, in, out)
	return fault.Fail(ctx, op, topic, codeOf(err), err)
}

func codeOf(err error) leat.Code {
	switch {
	case errors.Is(err, errNoTopic), errors.Is(err, errNoQueue):
		return leat.CodeNotFound
	case errors.Is(err, errOtherLabel):
		return leat.CodeConflict
	}
	return fault.Code(err)
}

// Lag asks how far a group is behind.
func (b *broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	var stat StatAnswer
	if err := b.ask(ctx, "lag", topic, "Stat", brokerName(topic, group), &stat); err != nil {
		return leat.Lag{}, err
	}
	return leat.Lag{
		Topic: topic, Group: group, Events: stat.Messages, Oldest: stat.Oldest,
		Parts: []leat.LagPart{{Name: brokerName(topic, group), Events: stat.Messages}},
	}, nil
}

// Health tells about the connection. A stream tells the same of its subscription.
func (b *broker) Health() error { return cmp.Or(b.life.Closed("health", ""), b.unwell("")) }

func (b *broker) unwell(topic string) error {
	since, err := b.client.trouble()
	return fault.Health(topic, codeOf(err), since, err)
}

func (b *broker) Close() error {
	b.life.Close(b.o.CloseTimeout, b.ledger.Close, func([]*stream) { b.client.close() })
	return nil
}

// Subscribe opens a stream of a queue.
func (b *broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := sub.Validate(); err != nil {
		return nil, err
	}
	queue, err := b.declare(ctx, "subscribe", sub)
	if err != nil {
		return nil, err
	}
	s := &stream{broker: b, sub: sub.WithDefaults(), queue: queue}
	s.Stream = lease.NewStream(lease.Options[uint64, uint64]{
		Term: b.o.Term, MaxBatch: 100, Send: s.send, Discard: sub.Broadcast,
	}, book.Options{
		Topic: sub.Topic, MaxInFlight: s.sub.MaxInFlight, MaxInFlightBytes: s.sub.MaxInFlightBytes,
		LongestDelay: time.Hour,
	})
	s.Start(s.ask)
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// stream is a consumer of a queue. What it embeds does most of the work.
type stream struct {
	*lease.Stream[uint64, uint64]

	broker *broker
	sub    leat.Subscription
	queue  string
	epoch  uint64 // under which the broker lends; for ask, and Close after it
}

func (s *stream) Capabilities() leat.Capabilities {
	return leat.Capabilities{
		Order: leat.OrderPerGroup, Durable: true, DeliveryCount: true, LongestDelay: time.Hour,
		Standby: !s.sub.Broadcast, Broadcast: s.sub.Broadcast,
	}
}

// ask asks for messages. The stream calls it while there is room.
func (s *stream) ask(ctx context.Context, want lease.Want[uint64, uint64]) error {
	asked := time.Now()
	answer, err := s.broker.client.pull(ctx, &PullRequest{
		Queue: s.queue, Epoch: s.epoch, Held: lease.Values(want.Held), Events: want.Events,
		Bytes: want.Bytes, Wait: s.broker.o.Term / 10,
	}, want.Stop)
	if err != nil {
		return err // the stream asks again, and says then what is held
	}
	if answer.Epoch != s.epoch {
		s.LoseAll(lease.ErrTaken)
		s.epoch = answer.Epoch
	}
	for _, m := range answer.Messages {
		d, size := decode(&m.Message)
		d.Deliveries, d.Position.Offset = m.Deliveries, int64(m.ID)
		s.Arrived(m.ID, m.Receipt, asked, &d, size)
	}
	return nil
}

// send tells the broker what became of messages.
func (s *stream) send(ctx context.Context, op lease.Op, batch []lease.Entry[uint64, uint64]) []error {
	var had []bool
	err := s.broker.client.call(ctx, "Settle", SettleRequest{
		Queue: s.queue, Ack: op == lease.Ack, Extend: op == lease.Extend, Receipts: lease.Values(batch),
	}, &had)
	errs := lease.All(len(batch), err)
	for i := range errs {
		if err == nil && !had[i] {
			errs[i] = lease.ErrTaken
		}
	}
	return errs
}

func (s *stream) Health() error {
	since, err := s.Failing()
	return cmp.Or(s.broker.unwell(s.sub.Topic), fault.Health(s.sub.Topic, codeOf(err), since, err))
}

// Close hands over: it stores settlements and gives the rest back, then another has the queue.
func (s *stream) Close(ctx context.Context) error {
	defer s.broker.life.Remove(s)
	err := s.Stream.Close(ctx)
	_ = s.broker.client.call(ctx, "Leave", Leaving{s.queue, s.epoch}, &struct{}{}) // or the term ends
	return fault.Fail(ctx, "close", s.sub.Topic, codeOf(err), err)
}
