package eventtest

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// Harness gives the suite what it cannot make itself: an adapter that is connected to a broker, and
// names that nobody uses. What more it can do to the broker it says by the control interfaces in
// this file; cases that need a control it lacks are skipped. How long its broker takes it says by
// [Pacer].
type Harness interface {
	// Open returns a new instance of the adapter. Instances share the broker behind them: what one
	// publishes, the others receive. The suite closes it.
	Open(ctx context.Context) (leat.Broker, error)
	// Topic returns the name of a topic that does not exist yet. Groups need no fresh names.
	Topic() string
}

// Injector is a [Harness] that can put bytes into a topic past the adapter.
type Injector interface {
	// Inject publishes a raw message. Its Reason is ignored.
	Inject(ctx context.Context, topic string, m leat.Malformed) error
}

// Malformer is an [Injector] whose broker cannot carry every byte: it says itself what a message
// that is not a CloudEvent looks like there. Without it the suite makes such messages of any bytes.
type Malformer interface {
	// Malformed returns the n-th of as many different raw messages as the suite asks for, from 0,
	// each of which the adapter cannot read as an event. Their bodies differ, are not empty, and
	// stay such when they are repeated to make a large one. The suite adds headers of printable
	// ASCII.
	Malformed(n int) leat.Malformed
}

// KeyInjector is a [Harness] whose transport has a key that orders messages.
type KeyInjector interface {
	// InjectKeyed publishes an event past the adapter, as it is, with a key of the transport. An
	// empty key is none.
	InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error
}

// KeyMaker is a [KeyInjector] whose transport has keys of fewer characters than others. Without it
// the suite uses a key with a space, a control character and bytes that are not UTF-8.
type KeyMaker interface {
	// OddKey returns the oddest key that the transport takes.
	OddKey() string
}

// OneGroup is a [Harness] whose topics have one group each, as queues that are topics do.
type OneGroup interface {
	OneGroup()
}

// Killer is a [Harness] that can kill the broker, as a power cut would, and start it again with the
// data that it had stored. Start returns when the broker takes connections again.
type Killer interface {
	Kill(ctx context.Context) error
	Start(ctx context.Context) error
}

// Pauser is a [Harness] that can stop the broker from answering, with its connections open, and let
// it go on.
type Pauser interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// Cutter is a [Harness] that can cut all connections to the broker, which may be opened again at
// once.
type Cutter interface {
	Cut(ctx context.Context) error
}

// Expirer is a [Harness] that can make the broker take away what the streams of a group hold, as if
// their leases had run out.
type Expirer interface {
	Expire(ctx context.Context, topic, group string) error
}

// Stray is a [Harness] that can open the adapter for an address where nobody listens.
type Stray interface {
	// OpenNowhere returns an instance of the adapter that reaches no broker. The suite closes it.
	OpenNowhere(ctx context.Context) (leat.Broker, error)
}

// LeaseTimer is a [Harness] that knows after how long without extension its broker takes a delivery
// away. Without it, the suite only tries handlers that are a little slow.
type LeaseTimer interface {
	LeasePeriod() time.Duration
}

// Isolator is a [Harness] that can isolate one instance of the adapter from the broker, as a
// network does that loses every packet: its connections stay open, nothing passes in either
// direction, new connections get no answer, and the clocks of both sides run on. What was written
// into a connection before may have arrived.
type Isolator interface {
	// Isolate isolates an instance that Open returned.
	Isolate(ctx context.Context, b leat.Broker) error
	// Rejoin ends that. What stood in the connections goes on, as far as both sides still have
	// them.
	Rejoin(ctx context.Context, b leat.Broker) error
}

// Dropper is a [Harness] that can make one instance of the adapter vanish, as a process does that
// is killed: its connections are reset, and nothing that the instance does reaches the broker any
// more. Other than with Close, nobody says goodbye.
type Dropper interface {
	// Drop takes an instance that Open returned, for good. The suite closes it later, which then
	// fails or not, but ends in time.
	Drop(ctx context.Context, b leat.Broker) error
}

// Holder is a [Harness] that can ask the broker how many messages it has delivered to the streams
// of a group and waits for to be settled, the adapter's prefetch included.
type Holder interface {
	Held(ctx context.Context, topic, group string) (int, error)
}
