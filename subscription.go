package leat

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/leatgo/leat/internal/ranges"
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
