// Package aside has what Leat's own packages and the engine tell each other.
package aside

import "errors"

// Err is what a handler, or a PoisonQueue that does not try, returns for an event that it does not
// want now, and that stays in the queue: the Consumer keeps it unsettled, lets the events behind it
// pass, and gives it back when it stops. It counts no attempt, and a Consumer that keeps nothing
// else is idle. Such events use up MaxInFlight.
var Err = errors.New("the event stays in the queue")

// GaveUpError is the reason of a Reject whose event has failed too often.
type GaveUpError struct {
	Text string // before the text of Err
	Err  error  // of the last attempt
}

func (g *GaveUpError) Error() string { return g.Text + ": " + g.Err.Error() }

func (g *GaveUpError) Unwrap() error { return g.Err }

// SkipKey is the key of a context's value, a *bool, that a Router sets to true for an event that no
// route wants.
type SkipKey struct{}

// HeldKey is the key of a context's value, a *Held, that RunUntilIdle fills in when it ends because
// all consumers are idle.
type HeldKey struct{}

// Held is what idle consumers hold unsettled.
type Held struct{ Events, Bytes int }

// ErrTurn is the reason of a Postpone for an event whose turn is reserved in this process. Such an
// event never goes back to a broker that can delay, where MaxInFlight would bound it no more, and
// waits for exactly its time, however short.
var ErrTurn = errors.New("the rate limit is reached")

// CrashKey is the key of a context's value that is not nil while the chain runs once more for an
// attempt whose handler has ended its goroutine.
type CrashKey struct{}

// LeaseKey is the key of a context's value, a context.Context, that ends with the lease of the
// event, and not with an attempt or a deadline.
type LeaseKey struct{}

// PutsBack is implemented by the PoisonQueue of a replay, which puts an event back into the queue
// that it comes from.
type PutsBack interface{ PutsBack() }
