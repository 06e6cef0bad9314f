package watermill

import (
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/nils"
)

// Options are the options of a [Broker]. The zero value works with one Subscriber, and promises
// nothing: what the Pub/Sub holds is said by Order, Standby, Durable, History and LongestHold,
// since no Pub/Sub tells it.
type Options struct {
	// Codec says how events and messages become each other.
	Codec Codec

	// NewSubscriber returns a Subscriber whose subscriptions share the messages of a topic among
	// the members of a group. It is called once for each group, and the Broker closes what it
	// returned. It should not block: other calls wait for it. An error of it or of a Subscriber
	// that is an [*leat.Error] keeps its code; every other is [leat.CodeUnavailable]. Nil means
	// that New's Subscriber is that of the one group, whichever asks first.
	NewSubscriber func(group string) (message.Subscriber, error)
	// Order is how far the Pub/Sub keeps the order of a key. Where it is [leat.OrderNone], the zero
	// value, every subscription has to be Unordered.
	Order leat.Order
	// Standby says that one member of a group gets messages and the others stand by until it
	// leaves.
	Standby bool
	// Durable says that a Publish that returned nil survives the end of the message broker's
	// process.
	Durable bool
	// History says that a new group gets what was published before it.
	History bool
	// LongestHold is how long a message may stay without Ack or Nack; 0 means as long as the
	// subscription lasts.
	LongestHold time.Duration

	// Lanes is how many calls of the Publisher may run at a time. Events of one key use the same
	// lane, one after the other. 0 means 64.
	Lanes int
	// Inline publishes in the caller's goroutine instead. It is for a Publisher that never blocks,
	// such as that of gochannel.
	Inline bool
	// Buffer is how many events may be published and not yet answered; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// 0 means 64 MiB.
	BufferBytes int
	// MaxEventBytes is the largest event. The Pub/Sub must take the message of an event of that
	// size whatever its bytes are: attributes have names and lengths, the id is the UUID as well,
	// and with Codec.Structured JSON may double all of it. 0 means 1,000,000 bytes.
	MaxEventBytes int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// Refused returns the code of an error of the Publisher after which the message is certainly
	// not stored and never will be, and 0 for all others, whose outcome is unknown. Nil means that
	// no error says so.
	Refused func(err error) leat.Code

	// Position returns where the message broker keeps a message. Nil means that its UUID is all
	// that is known.
	Position func(m *message.Message) leat.Position
	// Key returns the key by which the message broker orders messages, where a message carries one
	// that is none of its metadata. It becomes the Delivery's, where the event has no partitionkey;
	// the event stays as it is. Nil, or "", means none.
	Key func(m *message.Message) string
	// Mapping makes events of the messages that Codec refuses: [foreign.Lenient], one of your own,
	// or several by [foreign.First]. Their headers are the metadata by name, the ID is the UUID.
	// Nil means none: they are malformed.
	Mapping foreign.Mapping
	// SkipInitialize makes Declare do nothing. Else it calls SubscribeInitialize of the Subscribers
	// that have it.
	SkipInitialize bool
	// Closing is called when Close begins, before that waits for the Publisher's answers: a
	// Publisher that waits for something, such as a connection, should wait no more. Nil calls
	// nothing.
	Closing func()
	// KeepOpen makes Close leave the Publisher and the Subscriber of New open, because others use
	// them too.
	KeepOpen bool
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know. Nil means no log.
	Logger *slog.Logger
}

// withDefaults returns a copy of o with its defaults filled in. o may be nil.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.table().Fill()
	return d
}

func (o *Options) table() options.Table {
	return options.Table{
		options.Enum("Order", &o.Order, "none", "per_stream", "per_group"),
		options.Duration("LongestHold", &o.LongestHold, 0, 1, 24*time.Hour),
		options.Int("Lanes", &o.Lanes, 64, 1, 10_000),
		options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, 1<<40),
		options.Int("MaxEventBytes", &o.MaxEventBytes, 1_000_000, 1, 1<<20),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Millisecond, 24*time.Hour),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, time.Millisecond, time.Hour),
		options.Logger(&o.Logger),
	}
}

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate(publisher message.Publisher, subscriber message.Subscriber) error {
	switch {
	case nils.Is(publisher):
		return errors.New("the Publisher is nil")
	case subscriber != nil && nils.Is(subscriber):
		return errors.New("the Subscriber is a nil in an interface")
	case subscriber == nil && o.NewSubscriber == nil:
		return errors.New("there is no Subscriber; give one, or set NewSubscriber")
	case subscriber != nil && o.NewSubscriber != nil:
		return errors.New("there are a Subscriber and NewSubscriber; with NewSubscriber, the Subscriber is nil")
	}
	return o.table().Check()
}
