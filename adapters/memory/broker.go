package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/leatgo/leat"
)

// Broker is a message broker inside the process. It implements [leat.Broker], [leat.Declarer] and
// [leat.HealthReporter], and is safe for concurrent use. Several brokers share nothing.
//
// Locks, in this order: Broker.mu (the set of topics), then topic.mu (everything in a topic, its
// groups and streams). Neither is held while a done callback, a lease's Drain or End, or any other
// code from outside runs.
type Broker struct {
	o       Options
	invalid error // what is wrong with the options of New
	seed    maphash.Seed
	topics  sync.Map // of name to *topic; written under mu
	mu      sync.Mutex
	closed  atomic.Bool // written under mu
	stalled atomic.Bool // no lease is extended
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
)

// New returns an empty broker. A nil o means the defaults. Wrong options are reported by Health and
// by every call that can fail, which Run makes before the first event.
func New(o *Options) *Broker {
	b := &Broker{seed: maphash.MakeSeed()}
	if o != nil {
		b.o = *o
	}
	if b.invalid = b.o.validate(); b.invalid != nil {
		b.o = Options{}
	}
	b.o.table().Fill()
	return b
}

// refusal returns the error of a call to a broker with wrong options, or nil.
func (b *Broker) refusal(op, topic string) error {
	if b.invalid == nil {
		return nil
	}
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeInvalid, Err: b.invalid}
}

// System implements [leat.SystemNamer]. It returns "leat_memory".
func (b *Broker) System() string { return "leat_memory" }

// Limits returns the largest event, from [Options].
func (b *Broker) Limits() leat.Limits { return leat.Limits{MaxEventBytes: b.o.MaxEventBytes} }

// Health returns nil, or an error with [leat.CodeClosed] after Close, and with [leat.CodeInvalid]
// for wrong options.
func (b *Broker) Health() error {
	if err := b.refusal("health", ""); err != nil {
		return err
	}
	if b.closed.Load() {
		return closedError("health", "")
	}
	return nil
}

// Publish implements [leat.Broker]: done is called for every event before it returns. An event is
// confirmed when every group of the topic has it. It is refused with CodeTooLarge, CodeNotFound
// (the topic, unless provisioning creates it), CodeCanceled, CodeExhausted (no room within
// [Options].FullTimeout) or CodeClosed; only [Broker.Crash] makes an outcome unknown.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	t, err := b.topic("publish", topic, b.o.Provision == ProvisionCreate)
	if err != nil {
		refuseAll(events, 0, err, done)
		return
	}
	t.publish(ctx, events, done)
}

// Subscribe implements [leat.Broker]. The group must have been declared: otherwise, as for an
// unknown topic, the error has [leat.CodeNotFound]. A group that was declared with another
// Unordered than sub has is [leat.CodeUnsupported]. The stream is a [*Stream].
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := sub.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, canceled(ctx, "subscribe", sub.Topic)
	}
	t, err := b.topic("subscribe", sub.Topic, sub.Broadcast && b.o.Provision == ProvisionCreate)
	if err != nil {
		return nil, err
	}
	return t.subscribe(sub)
}

// Declare implements [leat.Declarer] as [Options].Provision says. It creates the groups with what
// the topics' history holds. A group that exists with another Unordered is [leat.CodeUnsupported].
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	var errs []error
	for _, sub := range subs {
		err := sub.ValidateDeclare()
		if err == nil {
			err = b.refusal("declare", sub.Topic)
		}
		if err == nil && ctx.Err() != nil {
			err = canceled(ctx, "declare", sub.Topic)
		}
		if err == nil {
			err = b.declare(sub)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

func (b *Broker) declare(sub leat.Subscription) error {
	if b.closed.Load() {
		return closedError("declare", sub.Topic)
	}
	if b.o.Provision == ProvisionOff {
		return nil
	}
	create := b.o.Provision == ProvisionCreate || b.o.Provision == ProvisionStrict
	t, err := b.topic("declare", sub.Topic, create)
	if err != nil || sub.Group == "" {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err = t.group("declare", sub, create)
	return err
}

// topic finds a topic, and creates it where create says so.
func (b *Broker) topic(op, name string, create bool) (*topic, error) {
	if t, ok := b.lookup(name); ok {
		return t, nil // a topic refuses by itself once it is closed
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return nil, closedError(op, name)
	}
	if err := b.refusal(op, name); err != nil {
		return nil, err
	}
	if t, ok := b.lookup(name); ok {
		return t, nil
	}
	if err := leat.CheckTopic(name); err != nil {
		return nil, &leat.Error{Op: op, Code: leat.CodeInvalid, Err: fmt.Errorf("topic %w", err)}
	}
	if !create {
		return nil, &leat.Error{Op: op, Topic: name, Code: leat.CodeNotFound,
			Err: errors.New("nobody has declared the topic; name it in ProducerOptions.Topics where it is published to, or call leat.Declare " +
				"(leat.Run declares what its consumers read)")}
	}
	t := &topic{broker: b, name: name, named: map[string]*group{}}
	b.topics.Store(name, t)
	return t, nil
}

func (b *Broker) lookup(name string) (*topic, bool) {
	v, _ := b.topics.Load(name)
	t, ok := v.(*topic)
	return t, ok
}

// all returns the topics of this moment.
func (b *Broker) all() (topics []*topic) {
	b.topics.Range(func(_, v any) bool {
		t, ok := v.(*topic)
		if ok {
			topics = append(topics, t)
		}
		return ok
	})
	return topics
}

// Close ends the streams and refuses the publishes that wait for room with [leat.CodeClosed]: they
// are certainly not stored. It does not block. Closing twice returns nil.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed.Load() {
		b.mu.Unlock()
		return nil
	}
	b.closed.Store(true)
	b.mu.Unlock()
	for _, t := range b.all() {
		t.close()
	}
	return nil
}

func closedError(op, topic string) error {
	err := errors.New("the memory broker is closed; close it behind the last Producer and Consumer")
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeClosed, Err: err}
}

// canceled returns the error of a context that ended, with its cause where that says more.
func canceled(ctx context.Context, op, topic string) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &leat.Error{Op: op, Topic: topic, Code: leat.CodeCanceled, Err: err}
}
