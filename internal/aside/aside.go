// Package aside has what the package poison tells the engine.
package aside

import "errors"

// Err is what a handler, or a PoisonQueue that does not try, returns for an event that it does not
// want now, and that stays in the queue: the Consumer keeps it unsettled, lets the events behind it
// pass, and gives it back when it stops. It counts no attempt, and a Consumer that keeps nothing
// else is idle. Such events use up MaxInFlight.
var Err = errors.New("the event stays in the queue")

// SkipKey is the key of a context's value, a *bool, that a Router sets to true for an event that no
// route wants.
type SkipKey struct{}

// HeldKey is the key of a context's value, a *Held, that RunUntilIdle fills in when it ends because
// all consumers are idle.
type HeldKey struct{}

// Held is what idle consumers hold unsettled.
type Held struct{ Events, Bytes int }
