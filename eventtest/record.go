package eventtest

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

// RecordKind says what a [Record] is about.
type RecordKind string

// The kinds of a [Record].
const (
	// RecordPublished: the broker confirmed the event.
	RecordPublished RecordKind = "published"
	// RecordPublishFailed: the broker refused the event, or its outcome is unknown; Err says which.
	RecordPublishFailed RecordKind = "publish failed"
	// RecordDelivered: a stream of the group received the event.
	RecordDelivered RecordKind = "delivered"
	// RecordAttempted: an attempt began.
	RecordAttempted RecordKind = "attempted"
	// RecordHandled: the handler succeeded.
	RecordHandled RecordKind = "handled"
	// RecordSkipped: no handler of the group's Router wanted the event.
	RecordSkipped RecordKind = "skipped"
	// RecordRetried: an attempt failed with Err; the next one is due after Delay.
	RecordRetried RecordKind = "retried"
	// RecordPostponed: the handler put the event off for Delay, because of Err; it is no attempt.
	RecordPostponed RecordKind = "postponed"
	// RecordPaused: the handler stopped its consumer for Delay, because of Err.
	RecordPaused RecordKind = "paused"
	// RecordRejected: the handler, or a middleware that lost patience, gave the event up because of
	// Err.
	RecordRejected RecordKind = "rejected"
	// RecordPoisoned: the event is in the poison queue, because of Err.
	RecordPoisoned RecordKind = "poisoned"
	// RecordPoisonFailed: the poison queue did not take the event, because of Err.
	RecordPoisonFailed RecordKind = "poison failed"
	// RecordStuck: the event was given up because of Err, and there is no poison queue that could
	// take it.
	RecordStuck RecordKind = "stuck"
	// RecordGivenBack: the event went back to the broker unhandled, which delivers it again after
	// Delay.
	RecordGivenBack RecordKind = "given back"
	// RecordLost: the lease ended before the event was settled.
	RecordLost RecordKind = "lease lost"
)

// Record is one thing that a [Recorder] saw.
type Record struct {
	// Kind says what happened.
	Kind RecordKind
	// At is when it happened, since the Recorder was made.
	At time.Duration
	// Topic is the event's topic.
	Topic string
	// Group is the group that received the event, [BroadcastGroup] for a broadcast. It is empty for
	// a publish.
	Group string
	// Event is the event. It is the zero Event for a malformed delivery.
	Event leat.Event
	// TransportKey is the transport's key where the event has no partitionkey, as Key of
	// [leat.Delivery]. It is empty for a publish.
	TransportKey string
	// Attempt is the attempt's number, from 1; 0 where the handler was not called.
	Attempt int
	// Err says why it failed. Nil where nothing failed.
	Err error
	// Delay is how long the next attempt waits.
	Delay time.Duration
	// Cause is what published the event, for a publish. It is the zero Cause when no handler did.
	Cause Cause
}

// Cause is the attempt whose handler's context was passed to a publish. For an event in a poison
// queue it is the attempt that gave the event up. What the function of a [leat.Batch] publishes has
// none, because the context is that of several events.
type Cause struct {
	// Topic and Group are those of the handler's subscription; Group is [BroadcastGroup] for a
	// broadcast.
	Topic, Group string
	// Event is the event that was handled.
	Event leat.Event
	// Attempt is the attempt's number.
	Attempt int
}

// BroadcastGroup stands for the group of a broadcast subscription, which has none.
const BroadcastGroup = "broadcast"

// Records are records in the order in which things happened. The methods that filter return what is
// left.
type Records []Record

// Len returns how many there are.
func (r Records) Len() int { return len(r) }

// Type keeps the records of events of one type.
func (r Records) Type(name string) Records {
	return r.filter(func(x *Record) bool { return x.Event.Type() == name })
}

// Key keeps the records of events with one key, their own or else the transport's; an empty key
// keeps those without.
func (r Records) Key(key string) Records {
	return r.filter(func(x *Record) bool { return cmp.Or(x.Event.Key(), x.TransportKey) == key })
}

// Topic keeps the records of one topic.
func (r Records) Topic(name string) Records {
	return r.filter(func(x *Record) bool { return x.Topic == name })
}

// Group keeps the records of one group.
func (r Records) Group(name string) Records {
	return r.filter(func(x *Record) bool { return x.Group == name })
}

// Kind keeps the records of one kind.
func (r Records) Kind(kind RecordKind) Records {
	return r.filter(func(x *Record) bool { return x.Kind == kind })
}

// One returns the only record, and fails the test when there is none or more than one.
func (r Records) One(t testing.TB) Record {
	t.Helper()
	if len(r) != 1 {
		t.Fatalf("eventtest: want one record, got %d\n%s", len(r), r)
		return Record{} // for a testing.TB whose Fatalf returns
	}
	return r[0]
}

// String returns a line for each record, without payloads.
func (r Records) String() string {
	var b strings.Builder
	for i := range r {
		x := &r[i]
		where := x.Topic
		if x.Group != "" {
			where += " " + x.Group
		}
		b.WriteString(column(x.At) + string(x.Kind) + " " + where + ": " + describe(x.Event, x.TransportKey) + because(x.Err) + "\n")
	}
	return b.String()
}

func (r Records) filter(keep func(*Record) bool) Records {
	var kept Records
	for i := range r {
		if keep(&r[i]) {
			kept = append(kept, r[i])
		}
	}
	return kept
}
