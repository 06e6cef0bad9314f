package leat

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/internal/jsontext"
)

// PoisonQueue takes the events that a [Consumer] gives up on. middleware.PoisonQueue is the one
// that publishes them to a topic.
type PoisonQueue interface {
	// Poison stores p durably and returns nil, or returns an error; the Consumer then keeps the
	// event unsettled and calls again later, without running the handler. It ends when ctx ends.
	//
	// The code of the error says what else waits; of an error with [CodePoisonQueue] it is that of
	// its cause. [CodeInvalid], [CodeTooLarge], [CodeUnsupported], [CodePermissionDenied], and
	// [CodeNotFound] with another Topic than the poison topic, refuse this event alone. With any
	// other code, or none, the queue is down: all rejected events wait, and one at a time tries
	// whether it is up again. An event that fails again and again, while others go through in
	// between, is refused as well.
	Poison(ctx context.Context, p Poisoned) error
	// Topic returns the topic that the poisoned events of sub go to, which [Run] declares together
	// with [ReplayGroup] on it; empty where there is none to declare.
	Topic(sub Subscription) string
}

// Poisoned is an event that a [Consumer] gave up on, with what a person needs to know about it.
// AsEvent makes the event that travels in a poison queue; [PoisonedFrom] is the way back.
type Poisoned struct {
	// Event is the original event, unchanged. It is the zero Event when Malformed is set, and when
	// Reduced is.
	Event Event
	// Malformed is set when the delivery was no valid CloudEvent.
	Malformed *Malformed
	// Reason is the error of the last attempt, or why the delivery is malformed.
	Reason error
	// Info is that of the last attempt; Attempt is 0 when the handler was never called.
	Info Info
	// At is when the Consumer gave up.
	At time.Time
	// Replays is how often the event was replayed from the poison queue and put back, because it
	// failed again. Reason, Info and At are still those of the first time.
	Replays int
	// Reduced is set by [PoisonedFrom] when some of the event or of the malformed delivery is
	// missing, because it did not fit into the poison queue. Nil means that nothing is.
	Reduced *Reduction

	cause string // a reason of PoisonCounts

	// note gets what AsEvent had to reduce, for the Consumer's log and statistics.
	note *atomic.Pointer[reducedNote]
}

// Reduction says what is missing of an event or a malformed delivery that did not fit into its
// poison queue whole. It is what [PoisonedFrom] reads from the reduced form, in which Leat writes
// what does not fit as it is.
//
// The reduced form of an event is one of type leat.reduced.v1, which no handler takes for the
// original. Its id and source are the original's where they have at most 256 bytes each; else the
// id is a UUIDv8 of the SHA-256 of both and the source is "/leat/<topic>/<group>". Its JSON data
// has the original in the CloudEvents JSON format as the member event, and the members size,
// data_size, data_sha256, dropped and dropped_more, as the fields here. When all of the original
// fits in this form, nothing is missing. Else its data is cut at the end, and attributes that do
// not fit are left out, extensions first.
//
// The reduced form of a malformed delivery has the type of the whole one, leat.malformed.v1, and
// the same members of its data: headers that do not fit are left out, and key and body are cut at
// their ends. key_size is the size of the whole key, and data_size, data_sha256 are those of the
// body.
type Reduction struct {
	// Event is what is left of an event; the zero Event for a malformed delivery. A required
	// attribute that is missing is that of the event in the poison queue.
	Event Event
	// Size is the size in bytes of the whole, as [Event.Size] or [Malformed.Size] counts it.
	Size int
	// DataSize is how many bytes the whole data or body has, and DataSHA256 their hash in
	// hexadecimal.
	DataSize   int
	DataSHA256 string
	// KeySize is how many bytes the whole key of a malformed delivery has.
	KeySize int
	// Dropped names the attributes or headers that are missing, each cut to 128 bytes.
	Dropped []string
	// DroppedMore is how many are missing whose names did not fit either.
	DroppedMore int
}

// ReplayGroup is the group that [Run] declares on a poison topic, so that the broker keeps events
// that nobody reads yet. To read or replay a poison queue, subscribe as [ReplayOf] says;
// [PoisonedFrom] tells what the events are.
const ReplayGroup = "replay"

// ReplayOf returns the subscription that reads the poison queue of sub, as [Run] declares it: the
// group [ReplayGroup] on [PoisonTopic], Unordered where sub is, because a broker that keeps no
// order for sub keeps none there either. Where the PoisonQueue has a topic of its own, set Topic to
// that. A poison topic that several consumers of one Run share is Unordered only if all of them
// are.
func ReplayOf(sub Subscription) Subscription {
	return Subscription{Topic: PoisonTopic(sub.Topic, sub.Group), Group: ReplayGroup, Unordered: sub.Unordered}
}

// The last part of the name of a poison topic.
const (
	poisonPart          = "poison"                  // of a group without a dot
	poisonPartMany      = poisonPart + "-"          // of a group with dots, before the number of its parts
	poisonPartBroadcast = poisonPart + "-broadcast" // of a broadcast, which has no group
)

// PoisonTopic returns the topic that poisoned events of a group go to: "<topic>.<group>.poison".
// For a group with dots it is "<topic>.<group>.poison-N", where N is the number of the group's
// parts between dots, because topic and group could not be told apart otherwise:
// "orders.eu.billing.poison" belongs to the topic orders.eu, "orders.eu.billing.poison-2" to the
// topic orders. For a broadcast, whose group is empty, it is "<topic>.poison-broadcast". So no two
// pairs of topic and group share a poison topic.
func PoisonTopic(topic, group string) string {
	if group == "" {
		return topic + "." + poisonPartBroadcast
	}
	return topicOfGroup(topic, group, poisonPart)
}

// topicOfGroup returns a topic that belongs to a group of a topic for the purpose that last names:
// "<topic>.<group>.<last>", or, where the group has dots, "<topic>.<group>.<last>-<parts of the
// group>". So no two pairs of topic and group share one.
func topicOfGroup(topic, group, last string) string {
	name := topic + "." + group + "." + last
	if dots := strings.Count(group, "."); dots > 0 {
		name += "-" + strconv.Itoa(dots+1)
	}
	return name
}

// poisonedTopic is the way back from PoisonTopic to the topic: it returns false where name is no
// poison topic.
func poisonedTopic(name string) (string, bool) {
	rest, last, ok := cutLast(name)
	parts := 1
	switch {
	case !ok:
		return "", false
	case last == poisonPartBroadcast:
		return rest, rest != ""
	case last != poisonPart:
		n, err := strconv.Atoi(strings.TrimPrefix(last, poisonPartMany))
		if err != nil || n < 2 || last != poisonPartMany+strconv.Itoa(n) {
			return "", false
		}
		parts = n
	}
	topic, group := rest, ""
	for range parts {
		var part string
		if topic, part, ok = cutLast(topic); !ok {
			return "", false
		}
		group = part + group
	}
	return topic, topic != "" && (group != "" || parts > 1)
}

// cutLast cuts a name at its last dot.
func cutLast(name string) (rest, last string, found bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// isPoisonTopicOf reports whether poison is PoisonTopic(topic, group) for some group: the poison
// topic of a group that replays a poison topic belongs to the first topic too.
func isPoisonTopicOf(poison, topic string) bool {
	for {
		of, ok := poisonedTopic(poison)
		if !ok || of == topic {
			return ok
		}
		poison = of
	}
}

// poisonSharer is implemented by a PoisonQueue that several groups may share a topic of on purpose.
type poisonSharer interface{ Shared() bool }

// poisonTopic is where c's rejected events go, or empty.
func (c *Consumer) poisonTopic() string {
	if c.o.PoisonQueue == nil {
		return ""
	}
	return c.o.PoisonQueue.Topic(c.sub)
}

// checkPoisonTopics returns an error when a poison topic of the consumers is not a valid name, or
// is that of two topics or groups on one broker without being meant to be shared.
func checkPoisonTopics(consumers []*Consumer) error {
	topics := make([]string, len(consumers))
	for i, c := range consumers {
		topic := c.poisonTopic()
		topics[i] = topic
		refuse := func(format string, args ...any) error {
			return &Error{Op: "run", Topic: c.sub.Topic, Code: CodeInvalid, Err: fmt.Errorf(format, args...)}
		}
		switch err := CheckTopic(topic); {
		case topic == "":
			continue
		case err != nil:
			return refuse("the poison topic of group %s %w; use shorter names, or a PoisonQueue that has names of its own", quote(c.sub.Group), err)
		case topic == c.sub.Topic:
			return refuse("the poison topic of group %s is the topic itself", quote(c.sub.Group))
		}
		sharer, ok := c.o.PoisonQueue.(poisonSharer)
		if shared := ok && sharer.Shared(); shared {
			continue
		}
		for j, other := range consumers[:i] {
			if topics[j] == topic && sameBroker(c.broker, other.broker) && (c.sub.Topic != other.sub.Topic || c.sub.Group != other.sub.Group) {
				return refuse("group %s would share the poison topic %s with group %s of topic %s; use other names, or PoisonOptions.Shared",
					quote(c.sub.Group), quote(topic), quote(other.sub.Group), quote(other.sub.Topic))
			}
		}
	}
	return nil
}

// sameBroker reports whether a and b are one broker; of values that cannot be compared nobody
// knows.
func sameBroker(a, b Broker) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// drop notes that an attribute or header is missing, with its name as far as room has bytes for
// names.
func (r *Reduction) drop(name string, room *int) {
	name = printable(name, 128)
	if n := len(jsontext.AppendEscaped(nil, name)) + len(`"",`); n <= *room {
		*room -= n
		r.Dropped = append(r.Dropped, name)
		return
	}
	r.DroppedMore++
}

// dropAgain notes what was missing before, with the names that fit now.
func (r *Reduction) dropAgain(before *Reduction, room *int) {
	r.Dropped = nil
	for _, name := range before.Dropped {
		r.drop(name, room)
	}
}

// missing reports whether anything is.
func (r *Reduction) missing(dataSize int) bool {
	return len(r.Dropped) > 0 || r.DroppedMore > 0 || dataSize < r.DataSize
}

// missingData is what [Reduction] says, in the data of an event of a poison queue.
type missingData struct {
	Size        int      `json:"size"`
	DataSize    int      `json:"data_size"`
	DataSHA256  string   `json:"data_sha256"`
	Dropped     []string `json:"dropped"`
	DroppedMore int      `json:"dropped_more"`
}

func (m *missingData) reduction() *Reduction {
	return &Reduction{Size: m.Size, DataSize: m.DataSize, DataSHA256: m.DataSHA256, Dropped: m.Dropped, DroppedMore: m.DroppedMore}
}

// appendMissing appends the members of missingData.
func appendMissing(dst []byte, r *Reduction) []byte {
	dst = strconv.AppendInt(append(dst, `"size":`...), int64(r.Size), 10)
	dst = strconv.AppendInt(append(dst, `,"data_size":`...), int64(r.DataSize), 10)
	dst = append(append(dst, `,"data_sha256":"`...), r.DataSHA256...)
	dst = append(dst, `","dropped":[`...)
	for i, name := range r.Dropped {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(jsontext.AppendEscaped(append(dst, '"'), name), '"')
	}
	return strconv.AppendInt(append(dst, `],"dropped_more":`...), int64(r.DroppedMore), 10)
}
