package bench

import "context"

// Case is one way of doing the work of a [Group], by one party.
type Case struct {
	// Name stands in the table.
	Name string
	// Events is how many events a round takes, chosen so that a round lasts long enough to be
	// timed.
	Events int
	// ShortEvents is how many a smoke test takes. 0 means a hundredth of Events, at least 100.
	ShortEvents int
	// Start sets the case up, outside of the timed part, for rounds of the given number of events.
	// ctx bounds the set-up alone.
	Start func(ctx context.Context, events int) (Instance, error)
}

// Instance is a [Case] that is set up.
type Instance interface {
	// Run takes n events from the first call that publishes to the last event handled, and returns
	// an error when ctx ends before that.
	Run(ctx context.Context, n int) error
	// Handled counts the events that were handled since the start.
	Handled() int64
	// Close takes the case down and returns when nothing of it runs any more.
	Close() error
}

// Holder is an [Instance] that measures the heap it holds.
type Holder interface {
	// Held returns the bytes of live heap that the last Run measured, above what was there before
	// the case was set up.
	Held() uint64
}

// short returns the number of events for a smoke test.
func (c Case) short() int {
	if c.ShortEvents > 0 {
		return c.ShortEvents
	}
	return max(c.Events/100, 100)
}
