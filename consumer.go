package leat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/ranges"
)

// ConsumerOptions are the options of a [Consumer]. The zero value works. With a field that is out
// of its range, [Run] refuses the Consumer.
type ConsumerOptions struct {
	// Concurrency is how many handlers run at once, and as many batches; see [Batch]. While a full
	// batch waits because that many batches run, no handler starts. Events of one key still run one
	// after the other. 0 means 16.
	Concurrency int
	// MaxInFlight bounds the events that are received and not settled: running, waiting, parked and
	// prefetched. At the bound the Consumer stops receiving. 0 means 1,000.
	MaxInFlight int
	// MaxInFlightBytes bounds their size in bytes; one event larger than that is still handled,
	// alone. 0 means 64 MiB.
	MaxInFlightBytes int
	// Middleware wraps the handler; the first is the outermost. The chain runs once per attempt.
	Middleware []Middleware
	// PoisonQueue takes rejected events. Without it the broker's own dead-letter mechanism takes
	// them where it has one, else they stay unsettled and health says so. While it is down,
	// rejected events wait. An event that it refuses waits alone, and is tried again at least once
	// a minute. Such events may use up half of MaxInFlight; with more of them the Consumer stops
	// receiving and is stalled.
	PoisonQueue PoisonQueue
	// PassRefused lets the successors of an event pass it when the PoisonQueue refuses it: for a
	// permission that is missing, a limit that is too low. Otherwise its key waits until somebody
	// mends that. Either way the event stays unsettled and is tried again, and when the Consumer
	// stops before it is in the poison queue, it comes again, behind successors that were handled:
	// the order of its key is lost.
	PassRefused bool
	// MaxDeliveries guards against events that crash the process. An event that the broker has
	// delivered more often than this is a suspect: the count also rises for what was prefetched and
	// given back, so it proves nothing. A suspect runs alone among all consumers of the same Run,
	// and each of its runs is noted in the topic "<topic>.<group>.suspects" of the broker before it
	// begins. Only when two of these runs ended with the process it is given up like a rejected
	// event. A run that returned, failed or panicked, lost its lease, or was still under way when
	// the Consumer was told to stop, does not count. While the notes cannot be written, suspects
	// wait, and health says so.
	//
	// Run refuses it with [CodeUnsupported] where the broker does not count deliveries, and for a
	// broadcast. 0 means off.
	MaxDeliveries int
	// ShutdownTimeout is how long running handlers may go on when the Consumer stops. 0 means 30 s.
	ShutdownTimeout time.Duration
	// StallAfter is how long the Consumer may be unable to receive, its limits used up, before its
	// health says that it is stalled. 0 means 30 s.
	StallAfter time.Duration
	// Observer sees what becomes of each delivery, for metrics and test tools. Nil means nobody
	// does, and costs nothing.
	Observer Observer
	// Logger gets what an operator should know: one line for each incident, and at most ten in a
	// minute of one message; then the next one says how many more there were. Never a payload.
	// docs/operations.md lists the lines. Nil means no log.
	Logger *slog.Logger
}

// validate returns the first thing that is wrong with options as they were given.
func (o *ConsumerOptions) validate() error {
	const longest = 365 * 24 * time.Hour
	return cmp.Or(
		ranges.Int("ConsumerOptions.Concurrency", o.Concurrency, 1, math.MaxInt32),
		ranges.Int("ConsumerOptions.MaxInFlight", o.MaxInFlight, 1, math.MaxInt32),
		ranges.Int("ConsumerOptions.MaxInFlightBytes", o.MaxInFlightBytes, 1, 1<<40),
		ranges.Int("ConsumerOptions.MaxDeliveries", o.MaxDeliveries, 1, math.MaxInt32),
		ranges.Duration("ConsumerOptions.ShutdownTimeout", o.ShutdownTimeout, 1, longest),
		ranges.Duration("ConsumerOptions.StallAfter", o.StallAfter, 1, longest),
	)
}

// withDefaults returns o with every zero field that has a default filled in.
func (o ConsumerOptions) withDefaults() ConsumerOptions {
	if o.Concurrency == 0 {
		o.Concurrency = 16
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = 30 * time.Second
	}
	if o.StallAfter == 0 {
		o.StallAfter = 30 * time.Second
	}
	return o
}

// Consumer receives the events of one subscription and runs a handler for them: several at a time,
// those of one key in order, each until it succeeded or is in the poison queue. [Run] runs it.
type Consumer struct {
	broker  Broker
	sub     Subscription
	root    Handler // as it was given
	handler Handler // it, in the middleware
	o       ConsumerOptions
	routes  []Route // of the Router that handler is or wraps, nil for others
	invalid error   // what is wrong with the arguments of NewConsumer

	// mu guards what follows, and all of the engine. It is never held while a handler, a callback,
	// the broker or a Lease is called.
	mu      sync.Mutex
	engine  *engine // nil while it does not run
	ended   error   // of the last Run; nil while it runs
	paused  bool    // by Pause
	total   counts
	poisons map[poisonKind]int64
	// poisonTypes are the types in poisons, but for "" and "_OTHER".
	poisonTypes map[string]bool
	// suspectEnds is what has to be taken out of the notes on suspects.
	suspectEnds suspectEnds
	attempts    attemptTable
	pausedSince time.Time // by Pause

	journal journal // has a lock of its own
}

// NewConsumer returns a Consumer of sub on broker; it does nothing until [Run]. A nil o means the
// defaults. Wrong arguments are reported by Run.
func NewConsumer(broker Broker, sub Subscription, h Handler, o *ConsumerOptions) *Consumer {
	if o == nil {
		o = &ConsumerOptions{}
	}
	c := &Consumer{broker: broker, root: h, o: o.withDefaults(), routes: routesOf(h)}
	c.invalid = o.validate()
	if c.o.MaxInFlight != 0 {
		sub.MaxInFlight = c.o.MaxInFlight
	}
	if c.o.MaxInFlightBytes != 0 {
		sub.MaxInFlightBytes = c.o.MaxInFlightBytes
	}
	c.sub = sub.WithDefaults()
	c.journal.Logger, c.journal.Topic, c.journal.Group = o.Logger, c.sub.Topic, c.sub.Group
	switch {
	case c.invalid != nil:
	case nils.Is(broker):
		c.invalid = errors.New("the broker is nil; look at the error of opening it")
	case nils.Is(h):
		c.invalid = errors.New("the handler is nil; give one to NewConsumer")
	case slices.ContainsFunc(o.Middleware, func(m Middleware) bool { return m == nil }):
		c.invalid = errors.New("ConsumerOptions.Middleware has a nil; leave it out")
	case o.PoisonQueue != nil && nils.Is(o.PoisonQueue):
		c.invalid = errors.New("ConsumerOptions.PoisonQueue is a nil in an interface; leave it out, or give one")
	case o.Observer != nil && nils.Is(o.Observer):
		c.invalid = errors.New("ConsumerOptions.Observer is a nil in an interface; leave it out, or give one")
	default:
		c.invalid = sub.Validate()
	}
	if c.invalid != nil {
		return c
	}
	_, checks := chain(h, nil)
	handler, more := chain(guard(h), o.Middleware)
	checks = append(checks, more...)
	if q, ok := o.PoisonQueue.(subscriptionChecker); ok {
		checks = append(checks, q)
	}
	c.invalid = firstRefusal(c.sub, checks)
	c.handler = handler
	return c
}

// Run declares what the consumers need, then runs them until ctx ends or one of them fails, and
// drains them: receiving stops, running handlers may go on until ShutdownTimeout, everything else
// goes back to the broker. It returns nil after a clean drain, and nothing runs any more then.
// Otherwise the errors are joined: why a consumer failed, which handlers still run (their contexts
// have ended), and which events a panic left unhandled. A Consumer runs once at a time, and may run
// again after Run returned.
//
// Without consumers it waits until ctx ends, so that a program that only publishes is no special
// case. Two Consumers of one call with the same topic and group on one broker are refused with
// [CodeInvalid]: each event would go to either of them, so that a handler would miss those of the
// other.
//
// Consumers of one call whose poison topics are the same, on one broker and for another topic or
// group, are refused with [CodeInvalid], unless their PoisonQueue says that this is meant
// (middleware.PoisonOptions.Shared).
func Run(ctx context.Context, consumers ...*Consumer) (err error) {
	for i, c := range consumers {
		if err := c.acquire(); err != nil {
			for _, other := range consumers[:i] {
				other.release(err)
			}
			c.refused(err)
			return err
		}
	}
	defer func() {
		for _, c := range consumers {
			c.release(err)
		}
	}()
	if len(consumers) == 0 {
		<-ctx.Done()
		return nil
	}
	if err := checkGroups(consumers); err != nil {
		return err
	}
	if err := checkPoisonTopics(consumers); err != nil {
		return err
	}
	for _, c := range consumers {
		if err := Declare(ctx, c.broker, c.subscriptions(consumers)...); err != nil {
			err = unlessStopped(ctx, err)
			c.engine.noteEnd(err)
			return err
		}
	}
	newGate(consumers)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(consumers))
	var wg sync.WaitGroup
	for i, c := range consumers {
		wg.Go(func() {
			defer stop() // when one stops, all do
			errs[i] = c.engine.run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// checkGroups refuses two consumers that share a group. It is nearly always a slip: two handlers
// for different types of events, each of which would pass over what the other should have got.
// Concurrency is what makes one Consumer run more handlers, and another call of Run, or another
// connection, is there for those who mean it.
func checkGroups(consumers []*Consumer) error {
	for i, c := range consumers {
		for _, other := range consumers[:i] {
			if c.sub.Group != "" && c.sub.Group == other.sub.Group && c.sub.Topic == other.sub.Topic && sameBroker(c.broker, other.broker) {
				return &Error{Op: "run", Topic: c.sub.Topic, Code: CodeInvalid, Err: fmt.Errorf(
					"two Consumers have the group %s, so each event would go to only one of them; put the handlers into one Router, "+
						"give each Consumer a group of its own, or raise Concurrency", quote(c.sub.Group))}
			}
		}
	}
	return nil
}

// unlessStopped drops an error of starting up that says no more than that ctx has ended: to be
// stopped then is no failure.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && CodeOf(err) == CodeCanceled {
		return nil
	}
	return err
}

// Declare creates or checks the topics and groups of subs, as the broker's provisioning option
// says, so that events published from then on are kept for them. It does nothing on a broker that
// has nothing to declare. Broadcast subscriptions declare their topic, and so does a Subscription
// with a Topic alone, for a program that publishes to it and knows no group:
//
//	err := leat.Declare(ctx, broker, leat.Subscription{Topic: "orders"})
//
// [ProducerOptions].Topics does that at the first publish.
func Declare(ctx context.Context, broker Broker, subs ...Subscription) error {
	if nils.Is(broker) {
		return &Error{Op: "declare", Code: CodeInvalid, Err: errors.New("the broker is nil; look at the error of opening it")}
	}
	full := make([]Subscription, len(subs))
	for i, sub := range subs {
		if err := sub.ValidateDeclare(); err != nil {
			return err
		}
		full[i] = sub.WithDefaults()
	}
	d, ok := broker.(Declarer)
	if !ok {
		return nil
	}
	return d.Declare(ctx, full...)
}

// subscriptions returns what Run declares for c: its own, and the group that reads its poison
// topic, so that the poison queue keeps events that nobody reads yet. all are the consumers of the
// Run. The topic of suspects comes later, see checkSuspects; it always has order.
func (c *Consumer) subscriptions(all []*Consumer) []Subscription {
	topic := c.poisonTopic()
	if topic == "" {
		return []Subscription{c.sub}
	}
	replay := ReplayOf(c.sub)
	replay.Topic = topic
	for _, other := range all {
		if replay.Unordered && !other.sub.Unordered && other.poisonTopic() == topic && sameBroker(c.broker, other.broker) {
			replay.Unordered = false // they share it
		}
	}
	return []Subscription{c.sub, replay}
}

// acquire makes c ready to run, or says why it cannot.
func (c *Consumer) acquire() error {
	if c == nil {
		return &Error{Op: "run", Code: CodeInvalid, Err: errors.New("a Consumer is nil")}
	}
	refuse := func(code Code, err error) error {
		return &Error{Op: "run", Topic: c.sub.Topic, Code: code, Err: err}
	}
	if c.invalid != nil {
		return refuse(CodeInvalid, c.invalid)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine != nil {
		return refuse(CodeConflict, errors.New("the Consumer runs already; make one with NewConsumer for each Run"))
	}
	c.engine, c.ended = newEngine(c), nil
	return nil
}

// refused notes why Run did not take c, unless c runs elsewhere.
func (c *Consumer) refused(err error) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.engine == nil {
		c.ended = err
	}
}

// release ends a run, which err ended.
func (c *Consumer) release(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.engine, c.ended = nil, err
}

// Pause stops receiving and starting handlers until [Consumer.Resume], also of a Consumer that is
// not running yet. Running handlers go on, a [Batch] starts with what it has gathered, and leases
// are kept.
func (c *Consumer) Pause() {
	c.mu.Lock()
	was := c.paused
	c.paused = true
	if !was {
		c.pausedSince = time.Now()
	}
	if c.engine == nil {
		c.mu.Unlock()
		return
	}
	if !was {
		c.engine.logPaused("Consumer.Pause", time.Time{}, Event{}, nil)
	}
	c.engine.full = false // it waits for the end of the pause now, not for room
	c.engine.giveBackDraining()
	c.engine.flushBatches()
	c.engine.unlock(nil)
}

// Resume ends a pause, one that a handler asked for included.
func (c *Consumer) Resume() {
	c.mu.Lock()
	c.paused = false
	if c.engine == nil {
		c.mu.Unlock()
		return
	}
	c.engine.resume()
	c.engine.unlock(nil)
}
