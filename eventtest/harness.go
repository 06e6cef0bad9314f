package eventtest

import (
	"context"

	"github.com/leatgo/leat"
)

// Harness gives the suite what it cannot make itself: an adapter that is connected to a broker, and names that nobody uses. What more
// it can do to the broker it says by the control interfaces in this file; cases that need a control it lacks are skipped. How long its
// broker takes it says by [Pacer].
type Harness interface {
	// Open returns a new instance of the adapter. Instances share the broker behind them: what one publishes, the others receive.
	// The suite closes it.
	Open(ctx context.Context) (leat.Broker, error)
	// Topic returns the name of a topic that does not exist yet. Groups need no fresh names.
	Topic() string
}

// Injector is a [Harness] that can put bytes into a topic past the adapter.
type Injector interface {
	// Inject publishes a raw message. Its Reason is ignored.
	Inject(ctx context.Context, topic string, m leat.Malformed) error
}

// KeyInjector is a [Harness] whose transport has a key that orders messages.
type KeyInjector interface {
	// InjectKeyed publishes an event past the adapter, as it is, with a key of the transport. An empty key is none.
	InjectKeyed(ctx context.Context, topic, key string, e leat.Event) error
}

// Killer is a [Harness] that can kill the broker, as a power cut would, and start it again with the data that it had stored. Start
// returns when the broker takes connections again.
type Killer interface {
	Kill(ctx context.Context) error
	Start(ctx context.Context) error
}

// Pauser is a [Harness] that can stop the broker from answering, with its connections open, and let it go on.
type Pauser interface {
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// Cutter is a [Harness] that can cut all connections to the broker, which may be opened again at once.
type Cutter interface {
	Cut(ctx context.Context) error
}

// Expirer is a [Harness] that can make the broker take away what the streams of a group hold, as if their leases had run out.
type Expirer interface {
	Expire(ctx context.Context, topic, group string) error
}

// Stray is a [Harness] that can open the adapter for an address where nobody listens.
type Stray interface {
	// OpenNowhere returns an instance of the adapter that reaches no broker. The suite closes it.
	OpenNowhere(ctx context.Context) (leat.Broker, error)
}
