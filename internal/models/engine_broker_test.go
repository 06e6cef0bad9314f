package models

import (
	"context"
	"slices"

	"github.com/leatgo/leat"
)

// The broker's side of a world: one stream, and what the Consumer settles is held against the model
// at once.

// Publish is not used.
func (w *world) Publish(context.Context, string, []leat.Event, func(i int, err error)) {}

// Limits has none.
func (w *world) Limits() leat.Limits { return leat.Limits{} }

// Subscribe returns the one stream.
func (w *world) Subscribe(context.Context, leat.Subscription) (leat.Stream, error) {
	return worldStream{w}, nil
}

// Close has nothing to do.
func (w *world) Close() error { return nil }

type worldStream struct{ w *world }

func (s worldStream) Capabilities() leat.Capabilities { return s.w.caps }

func (s worldStream) Close(context.Context) error { return nil }

func (s worldStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.stream) == 0 {
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		w.mu.Lock()
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	n := min(len(into), len(w.stream))
	if len(w.inFlight)+n > w.maxInFlight {
		w.breaks("MaxInFlight is %d, and %d are asked for beside %d", w.maxInFlight, n, len(w.inFlight))
	}
	for i, d := range w.stream[:n] {
		into[i] = leat.Delivery{
			Event: d.event.event, Lease: d.lease.lease, Deliveries: d.event.deliveries, Position: leat.Position{Offset: int64(d.n)}, Handle: d,
		}
		w.admit(d)
	}
	w.stream = slices.Clone(w.stream[n:])
	return n, nil
}

// admit is what becomes of a delivery that the Consumer received.
func (w *world) admit(d *modelDelivery) {
	w.received++
	d.order = w.received
	d.lease.attached = true
	switch {
	case d.lease.ended:
		d.state = gone
		w.lost++
	case d.lease.draining:
		d.state, d.late = waiting, true
		w.leave(d, leat.GiveBack, 0)
	default:
		d.state = waiting
		w.inFlight = append(w.inFlight, d)
	}
}

func (s worldStream) Settle(settled *leat.Delivery, how leat.Settlement) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	d := settled.Handle.(*modelDelivery)
	if d.got != 0 {
		w.breaks("%v is settled twice: %d and %d", d, d.got, how.Action)
	}
	if d.state == poisoning && how.Action == leat.GiveBack && w.failed > 0 && (w.stopping || d.lease.draining) {
		w.giveBackLane(d) // the queue is left alone for a while, and the drain does not wait for that
	}
	if d.want != how.Action {
		w.breaks("%v in state %d is settled with %d, not %d", d, d.state, how.Action, d.want)
	}
	// Within one action two goroutines of the engine may give back events of one key in either
	// order: Settle may come from any, and T2 has the broker restore the order. From one action to
	// the next, compare sees that all that should be given back is.
	d.got, d.gotDelay = how.Action, how.Delay
}

func (w *world) released(l *modelLease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.releases++
	for _, d := range w.all {
		if d.lease == l && d.order > 0 && d.got == 0 && !d.late {
			w.breaks("the lease of %v is released before that is settled", d)
		}
	}
}
