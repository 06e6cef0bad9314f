package leat

import (
	"context"
	"log/slog"
	"time"
)

type leaseWork struct{}

// ConsumerOptions are the options of a [Consumer]. The zero value works.
type ConsumerOptions struct {
	// Concurrency is how many handlers run at once. Events of one key still run one after the other. 0 means 16.
	Concurrency int
	// MaxInFlight bounds the events that are received and not settled: running, waiting, parked and prefetched. At the bound
	// the Consumer stops receiving. 0 means 1,000.
	MaxInFlight int
	// MaxInFlightBytes bounds their size in bytes; one event larger than that is still handled, alone. 0 means 64 MiB.
	MaxInFlightBytes int
	// Middleware wraps the handler; the first is the outermost. The chain runs once per attempt.
	Middleware []Middleware
	// PoisonQueue takes rejected events. Without it the broker's own dead-letter mechanism takes them where it has one, else they
	// stay unsettled and health says so.
	PoisonQueue PoisonQueue
	// MaxDeliveries sends an event to the poison queue, without calling the handler, when the broker has delivered it more
	// often than this. It guards against events that crash the process. 0 means off.
	MaxDeliveries int
	// ShutdownTimeout is how long running handlers may go on when the Consumer stops. 0 means 30 s.
	ShutdownTimeout time.Duration
	// StallAfter is how long the Consumer may be unable to receive, its limits used up, before its health says that it
	// is stalled. 0 means 30 s.
	StallAfter time.Duration
	// Logger gets what an operator should know, never a payload. Nil means no log.
	Logger *slog.Logger
}

// Consumer receives the events of one subscription and runs a handler for them.
type Consumer struct{}

// NewConsumer returns a Consumer of sub on broker that has not started. A nil o means the defaults. Wrong arguments are reported by Run.
func NewConsumer(broker Broker, sub Subscription, h Handler, o *ConsumerOptions) *Consumer {
	panic("not yet")
}

// Run runs consumers until ctx ends or one of them fails.
func Run(ctx context.Context, consumers ...*Consumer) error { panic("not yet") }

// Stats are counts of a [Consumer] since it was made, and its present state.
type Stats struct {
	// Received counts deliveries, redelivered ones included.
	Received int64
	// Handled counts events that ended well, those that were skipped included.
	Handled int64
	// Skipped counts events whose type no handler of the Router wanted.
	Skipped int64
	// Retried counts attempts that failed and were followed, or will be, by another.
	Retried int64
	// Poisoned counts events that are in the poison queue.
	Poisoned int64
	// GivenBack counts deliveries that were returned to the broker unhandled.
	GivenBack int64
	// LeaseLost counts deliveries whose lease ended before they were settled.
	LeaseLost int64
	// InFlight is how many events are received and not settled now; InFlightBytes is their size.
	InFlight      int
	InFlightBytes int
	// Parked is how many of them wait for a retry or for the poison queue.
	Parked int
	// Running is how many handlers run now.
	Running int
	// OldestAge is how long ago the oldest event in flight was received; 0 when there is none.
	OldestAge time.Duration
}

// Stats returns a snapshot.
func (c *Consumer) Stats() Stats { panic("not yet") }

// HealthState is the state of a [Consumer].
type HealthState uint8

// The states of a [Consumer], from best to worst.
const (
	// Healthy: all is well.
	Healthy HealthState = iota
	// Paused: by Pause, or by a handler that returned [Pause].
	Paused
	// Degraded: it works, but something needs attention: an event that keeps failing, a poison queue that is down, a broker that
	// cannot be reached for now.
	Degraded
	// Stalled: it cannot receive, its limits used up by events that do not finish.
	Stalled
	// Stopped: it does not run.
	Stopped
)

// Health is how a [Consumer] is.
type Health struct {
	State HealthState
	// Problems says why, an [*Error] each.
	Problems []error
}

// Health returns how c is. It is cheap and does not touch the network.
func (c *Consumer) Health() Health { panic("not yet") }

// Pause stops receiving and starting handlers until Resume; leases are kept, running handlers go on.
func (c *Consumer) Pause() { panic("not yet") }

// Resume ends a pause, one that a handler asked for included.
func (c *Consumer) Resume() { panic("not yet") }
