package poison

import (
	"context"
	"fmt"
	"iter"

	"github.com/leatgo/leat"
)

// Entry is an event in a poison queue.
type Entry struct {
	// Poisoned is what the event tells: the original, or the malformed delivery, and why, where and
	// when it was given up on. When Err is set, its Event is Stored, its Malformed is that of a
	// message that is not a CloudEvent, and the rest is zero.
	leat.Poisoned

	// Stored is the event as it is in the poison queue. It is the zero Event when the message there
	// is not a CloudEvent.
	Stored leat.Event
	// Position is where the broker keeps it, as far as the broker knows.
	Position leat.Position
	// Err says why it is not from a Consumer: somebody else wrote it into the topic.
	Err error
}

// Filter chooses entries. Nil chooses all.
type Filter func(Entry) bool

func (f Filter) wants(e Entry) bool { return f == nil || f(e) }

// entryOf reads a delivery of a poison queue.
func entryOf(e leat.Event, malformed *leat.Malformed, position leat.Position) Entry {
	entry := Entry{Stored: e, Position: position}
	if malformed != nil {
		entry.Malformed, entry.Err = malformed, malformed.Reason
		return entry
	}
	p, err := leat.PoisonedFrom(e)
	if err != nil {
		p = leat.Poisoned{Event: e}
	}
	entry.Poisoned, entry.Err = p, err
	return entry
}

// PeekOptions are the options of [Peek]. The zero value works.
type PeekOptions struct {
	// Topic is the poison topic. Empty means [leat.PoisonTopic]; set it where PoisonOptions.Topic
	// of the package middleware is set.
	Topic string
	// Filter chooses what is shown. Nil means all.
	Filter Filter
}

// Peek shows the poison queue of sub, without taking anything from it: those events that were in it
// when Peek began, in order by key. It holds a few at a time in memory. A nil o means the defaults.
//
// The last pair has an error, an [*leat.Error], if there is one: [leat.CodeNotFound] where there is
// no such queue, [leat.CodeUnsupported] where the broker cannot show it.
func Peek(ctx context.Context, broker leat.Broker, sub leat.Subscription, o *PeekOptions) iter.Seq2[Entry, error] {
	if o == nil {
		o = &PeekOptions{}
	}
	return func(yield func(Entry, error) bool) {
		over := false
		err := browse(ctx, broker, queueOf(sub, o.Topic), func(e Entry) bool {
			over = o.Filter.wants(e) && !yield(e, nil)
			return !over
		})
		if err != nil && !over {
			yield(Entry{}, err)
		}
	}
}

// queueOf returns the subscription that reads the poison queue of sub.
func queueOf(sub leat.Subscription, topic string) leat.Subscription {
	queue := leat.ReplayOf(sub)
	if topic != "" {
		queue.Topic = topic
	}
	return queue
}

// browse shows the entries of a poison queue.
func browse(ctx context.Context, broker leat.Broker, queue leat.Subscription, show func(Entry) bool) error {
	b, ok := broker.(leat.Browser)
	if !ok {
		return &leat.Error{Op: "browse", Topic: queue.Topic, Code: leat.CodeUnsupported, Err: errNoBrowser}
	}
	err := b.Browse(ctx, queue.WithDefaults(), func(d *leat.Delivery) bool { return show(entryOf(d.Event, d.Malformed, d.Position)) })
	if leat.CodeOf(err) == leat.CodeNotFound {
		err = &leat.Error{Op: "browse", Topic: queue.Topic, Code: leat.CodeNotFound,
			Err: fmt.Errorf("nobody has declared a poison queue of this name; check topic and group: %w", err)}
	}
	return err
}
