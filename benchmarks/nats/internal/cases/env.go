// Package cases has the groups of cases that are measured on a NATS: what Leat does, and what the
// native client does with the same work.
package cases

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	shortEvents = 1_000  // how many events a case takes in a smoke test
	roundEvents = 50_000 // and otherwise
	mostEvents  = 100_000
	prefetch    = 1_000 // of all parties: Leat's MaxInFlight by default
	group       = "group"
)

// Env is the broker that is measured on, and what the cases share there.
type Env struct {
	addr   string
	conn   *client.Conn // for set-ups
	js     jetstream.JetStream
	names  *load.Names
	serial atomic.Int64
}

// NewEnv returns an Env on the broker at the address. Short is for smoke tests.
func NewEnv(addr string, short bool) (*Env, error) {
	conn, js, err := dial(addr)
	if err != nil {
		return nil, err
	}
	events := mostEvents
	if short {
		events = 2 * shortEvents
	}
	return &Env{addr: addr, conn: conn, js: js, names: load.NewNames(events)}, nil
}

// Close ends the connection.
func (e *Env) Close() { e.conn.Close() }

// All returns every group, in the order of the report.
func (e *Env) All() []bench.Group {
	return []bench.Group{e.publish(), e.consume("consume", false), e.consume("consume/unordered", true)}
}

func dial(addr string) (*client.Conn, jetstream.JetStream, error) {
	conn, err := client.Connect("nats://" + addr)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, js, nil
}

// topic makes a name that no other case of the run has.
func (e *Env) topic() string {
	return fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), e.serial.Add(1))
}

// leat returns Leat's broker.
func (e *Env) leat() (*nats.Broker, error) {
	return nats.New(&nats.Options{Hosts: []string{e.addr}, Buffer: load.InFlight})
}

// declare declares a topic and a group as Leat does, for all parties.
func (e *Env) declare(ctx context.Context, sub leat.Subscription) error {
	b, err := e.leat()
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // Declare tells
	return b.Declare(ctx, sub)
}
