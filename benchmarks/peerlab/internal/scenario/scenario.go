// Package scenario has what is done to the libraries, and what counts as holding.
package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	"github.com/leatgo/leat/internal/brokertest"
)

// Scenario is something that goes wrong with a broker or a message.
type Scenario struct {
	// Name is what commands call it, and Title what the tables call it.
	Name, Title string
	// What says what is done, and when a library holds.
	What string
	// Parties are those that take part, by name; nil means all that are not for one scenario only.
	Parties []string
	// Race says that it is run by a program with the race detector, whose reports count.
	Race bool
	// Config are further settings of the broker.
	Config map[string]string
	// run is what is done. Its error means that it could not be done, and says nothing about the
	// library.
	run func(ctx context.Context, e *env) (Result, error)
}

// Result is what was seen.
type Result struct {
	// Held says that the library did what it has to.
	Held bool `json:"held"`
	// Seen is for the table.
	Seen string `json:"seen"`
	// Broker is the RabbitMQ's version.
	Broker string `json:"broker"`
}

// env is what a scenario has.
type env struct {
	node  *brokertest.RabbitMQNode
	party party.Party
	long  bool
	names int
}

// All returns the scenarios in the order of the tables.
func All() []Scenario {
	return slices.Concat(
		losses(),
		[]Scenario{unroutable(), rejecting(), batch()},
		[]Scenario{lateAck(), queueDeleted()},
		poisons(),
		deadlines(),
		[]Scenario{race()},
	)
}

// Takes reports whether a party takes part.
func (s *Scenario) Takes(p party.Party) bool {
	if s.Parties == nil {
		return p.Name != "watermill-tx"
	}
	return slices.Contains(s.Parties, p.Name)
}

// mostTime is how long a scenario may take.
const mostTime = 4 * time.Minute

// Run runs the scenario for a party on a RabbitMQ of its own. Long is with the full counts.
func (s *Scenario) Run(ctx context.Context, p party.Party, long bool) (r Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	node, err := brokertest.RunRabbitMQ(ctx, &brokertest.RabbitMQOptions{Config: s.Config})
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if closing := node.Close(); err == nil {
			err = closing
		}
	}()
	r, err = s.run(ctx, &env{node: node, party: p, long: long})
	r.Broker = node.Version()
	return r, err
}
