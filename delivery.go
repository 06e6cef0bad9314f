package leat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/ranges"
	"github.com/leatgo/leat/internal/w3ctrace"
)

// Subscription says what a [Consumer] wants to receive. Topic is required, and either Group or
// Broadcast, except that [Declare] also takes a topic alone.
type Subscription struct {
	// Topic is the topic to receive from.
	Topic string
	// Group names the consumers that share the topic's events: each event goes to one member of
	// every group. An empty group is an error unless Broadcast is set.
	Group string
	// Broadcast delivers every event that is published from now on to this stream, whoever else
	// receives it, at most once across disconnects. Group must be empty.
	Broadcast bool
	// Unordered gives up the order by key, which a subscription gets otherwise, for brokers where
	// that is cheaper.
	Unordered bool
	// MaxInFlight bounds the deliveries that are unsettled at a time, prefetched ones included. The
	// [Consumer] fills it in from its options. 0 means 1,000.
	MaxInFlight int
	// MaxInFlightBytes bounds their size in bytes. 0 means 64 MiB.
	MaxInFlightBytes int
}

const (
	defaultMaxInFlight      = 1_000
	defaultMaxInFlightBytes = 64 << 20
)

// Validate returns an [*Error] with [CodeInvalid] that names the first field that breaks a rule.
// Those of names are [CheckTopic]'s and [CheckName]'s. Every supported broker takes such names;
// RabbitMQ needs topic and group to be 254 bytes at most together, and says so when a longer pair
// is declared.
func (s Subscription) Validate() error {
	invalid := func(format string, args ...any) error {
		return &Error{Op: "subscribe", Topic: s.Topic, Code: CodeInvalid, Err: fmt.Errorf(format, args...)}
	}
	if err := CheckTopic(s.Topic); err != nil {
		return invalid("Topic %w", err)
	}
	switch {
	case s.Broadcast && s.Group != "":
		return invalid("Group must be empty when Broadcast is set")
	case s.Broadcast:
	case s.Group == "":
		return invalid("Group is empty; name the group whose members share the events, or set Broadcast")
	default:
		if err := CheckName(s.Group); err != nil {
			return invalid("Group %w", err)
		}
	}
	if err := cmp.Or(ranges.Int("Subscription.MaxInFlight", s.MaxInFlight, 1, math.MaxInt32),
		ranges.Int("Subscription.MaxInFlightBytes", s.MaxInFlightBytes, 1, 1<<40)); err != nil {
		return invalid("%w", err)
	}
	return nil
}

// ValidateDeclare is [Subscription.Validate] for [Declare], which also takes a topic alone, with
// neither Group nor Broadcast.
func (s Subscription) ValidateDeclare() error {
	if s.Group == "" {
		s.Broadcast = true
	}
	return s.Validate()
}

// WithDefaults returns s with its limits filled in, for adapters whose stream is opened without a
// [Consumer].
func (s Subscription) WithDefaults() Subscription {
	if s.MaxInFlight == 0 {
		s.MaxInFlight = defaultMaxInFlight
	}
	if s.MaxInFlightBytes == 0 {
		s.MaxInFlightBytes = defaultMaxInFlightBytes
	}
	return s
}

// maxNameBytes is Kafka's limit for a topic, the smallest of the brokers that Leat supports.
const maxNameBytes = 249

// CheckName returns nil for a name that a topic or a group may have: 1 to 249 bytes of letters,
// digits, '.', '_' and '-', but not "." or "..", which Kafka does not take. Otherwise the error
// says what is wrong, such as "is empty; give it a name", without a code: the caller puts it behind
// the word for what has the name, into an [*Error] with [CodeInvalid].
func CheckName(name string) error {
	if name == "" {
		return errors.New("is empty; give it a name")
	}
	if len(name) > maxNameBytes {
		return fmt.Errorf("%s is %d bytes long; at most %d are allowed", quote(name), len(name), maxNameBytes)
	}
	for i := range len(name) {
		c := name[i]
		if !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("%s has %q; use letters, digits, '.', '_' and '-'", quote(name), c)
		}
	}
	if name == "." || name == ".." {
		return fmt.Errorf("%s is a name that Kafka does not take; use another", quote(name))
	}
	return nil
}

// CheckTopic is [CheckName] for a topic, which must not be what a broker has for itself: it does
// not begin with "amq.", as names of RabbitMQ's own do, and is none of Kafka's own, such as
// __consumer_offsets. An adapter checks the topic of a publish with it; [Subscription.Validate]
// does so for a subscription.
func CheckTopic(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if strings.HasPrefix(name, "amq.") {
		return fmt.Errorf("%s begins with amq., which RabbitMQ keeps for itself; use another name", quote(name))
	}
	switch name {
	case "__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata":
		return fmt.Errorf("%s is a topic that Kafka keeps for itself; use another name", quote(name))
	}
	return nil
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// Delivery is one event as a [Stream] hands it over, together with what is needed to settle it.
type Delivery struct {
	// Event is the event. It is the zero Event when Malformed is set.
	Event Event
	// Malformed is set when what came is no valid CloudEvent.
	Malformed *Malformed
	// Lease is the ownership period that the delivery belongs to. It is never nil.
	Lease *Lease
	// Key is the transport's key where the event has no partitionkey of its own: the key of a Kafka
	// record, the group id of an SQS message, the ordering key of a Pub/Sub message. The engine
	// keeps order by it, and does not change the event. Empty means none. It may have any bytes.
	Key string
	// Trace is the trace context that the transport carries beside the event, for whoever reports
	// traces. Nil means none. It is not part of the event, and the engine shows it as [Info].Trace.
	Trace *TraceContext
	// Deliveries is how often the broker has delivered the event to this group, this time included
	// (R8); 0 means unknown.
	Deliveries int
	// Position is where the broker keeps the event.
	Position Position
	// Handle and Tag belong to the adapter, which finds its own state by them when the delivery is
	// settled.
	Handle any
	Tag    uint64
}

// size is what the delivery counts against MaxInFlightBytes.
func (d *Delivery) size() int {
	if d.Malformed != nil {
		return d.Malformed.Size()
	}
	return d.Event.Size()
}

// orderKey is the key that the engine keeps order by: the event's own, else the transport's.
func (d *Delivery) orderKey() string {
	if key := d.Event.Key(); key != "" {
		return key
	}
	return d.Key
}

// Position is where a broker keeps an event, for people who look it up there.
type Position struct {
	// Partition is the partition, shard or stream of the topic; 0 where there is only one.
	Partition int32
	// Offset is the position within it; 0 where the broker has none.
	Offset int64
	// ID is the broker's own name for the message, where it has one instead of an offset.
	ID string
}

// String returns the ID, or "partition/offset".
func (p Position) String() string {
	if p.ID != "" {
		return p.ID
	}
	return strconv.Itoa(int(p.Partition)) + "/" + strconv.FormatInt(p.Offset, 10)
}

// Malformed is a delivery that is no valid CloudEvent: the bytes as they came, and the reason.
type Malformed struct {
	// Headers are the transport's headers, duplicates included. The values of one name are in their
	// order. The names are too, where the client library keeps it; where its headers are a map the
	// adapter sorts them by name, so that a redelivery is the same.
	Headers []Header
	// Key is the transport's key or routing key; nil means none.
	Key []byte
	// Body is the transport's payload; nil means none.
	Body []byte
	// Reason says why it is not a CloudEvent.
	Reason error
}

// Header is one transport header of a [Malformed] delivery.
type Header struct {
	Name  string
	Value []byte
}

// Size returns the bytes of headers, key and body.
func (m *Malformed) Size() int {
	n := len(m.Key) + len(m.Body)
	for _, h := range m.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// Settlement says what became of a delivery.
type Settlement struct {
	// Action is what to do.
	Action Action
	// Delay, for GiveBack only, is the least time before the event may be delivered again.
	Delay time.Duration
}

// Action is the kind of a [Settlement].
type Action uint8

// The actions of a [Settlement].
const (
	// Ack ends the event for this group.
	Ack Action = iota + 1
	// GiveBack returns the event to the group, unhandled.
	GiveBack
	// NativeReject hands the event to the broker's own dead-letter mechanism.
	NativeReject
)

// TraceContext is a trace context as text, as W3C Trace Context has it: the values of the headers
// traceparent and tracestate. Leat carries it and does not read more of it than its form. Make one
// with [NewTraceContext].
type TraceContext struct {
	// Parent is the value of traceparent.
	Parent string
	// State is the value of tracestate. Empty means none.
	State string
}

// NewTraceContext returns the trace context of the values of the headers traceparent and
// tracestate, for adapters. It returns nil where parent is not a traceparent of W3C Trace Context
// (§3.2) in version 00 or a later one, in lower case, with ids that are not all zero, and 128 bytes
// at most. A state that is not printable ASCII of 512 bytes at most is dropped. A value that is not
// valid is never an error: it comes from other programs, and no event fails because of it.
func NewTraceContext(parent, state string) *TraceContext {
	if !w3ctrace.IsParent(parent) {
		return nil
	}
	if !w3ctrace.IsState(state) {
		state = ""
	}
	return &TraceContext{Parent: parent, State: state}
}

type traceKey struct{}

// ContextWithTrace returns a context for a publish that carries the trace context of the span that
// sends. An adapter writes it beside each event, as the bare headers traceparent and tracestate, so
// that programs without CloudEvents read it; the event stays as it is. A t that [NewTraceContext]
// would not make is none, whatever ctx carried before.
func ContextWithTrace(ctx context.Context, t TraceContext) context.Context {
	return withTrace(ctx, NewTraceContext(t.Parent, t.State))
}

func withTrace(ctx context.Context, t *TraceContext) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom returns the trace context that [ContextWithTrace] put into ctx, for adapters; nil where
// there is none. Nobody changes it.
func TraceFrom(ctx context.Context) *TraceContext {
	t, _ := ctx.Value(traceKey{}).(*TraceContext)
	return t
}
