package lease_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
)

// queueStream is the stream of an adapter, by message id, with the receipt.
type queueStream struct {
	*lease.Stream[string, string]

	broker chan []leat.Event // what the broker of this example sends
}

func newQueueStream() *queueStream {
	s := &queueStream{broker: make(chan []leat.Event, 1)}
	s.Stream = lease.NewStream(
		lease.Options[string, string]{Term: 30 * time.Second, Send: s.send},
		book.Options{MaxInFlight: 100, MaxInFlightBytes: 1 << 20},
	)
	s.Start(s.ask)
	return s
}

// ask asks the broker once.
func (s *queueStream) ask(ctx context.Context, want lease.Want[string, string]) error {
	asked := time.Now()
	select {
	case events := <-s.broker: // no more than want.Events
		for _, e := range events {
			s.Arrived(e.ID(), "receipt-"+e.ID(), asked, &leat.Delivery{Event: e}, e.Size())
		}
	case <-want.Stop:
	case <-ctx.Done():
	}
	return nil
}

// send makes one request to the broker, which answers for each entry.
func (s *queueStream) send(_ context.Context, op lease.Op, batch []lease.Entry[string, string]) []error {
	for _, e := range batch {
		fmt.Println(map[lease.Op]string{lease.Ack: "delete", lease.GiveBack: "make visible"}[op], e.Value)
	}
	return nil
}

func Example() {
	s, ctx := newQueueStream(), context.Background()
	var events []leat.Event
	for _, id := range []string{"a", "b", "c", "a"} { // a comes twice
		event, err := leat.NewEvent("order.placed.v1", &leat.EventOptions{ID: id, Source: "/shop"})
		if err != nil {
			fmt.Println(err)
		}
		events = append(events, event)
	}
	s.broker <- events
	into := make([]leat.Delivery, 10)
	for n := 0; n < 3; {
		more, err := s.Receive(ctx, into[n:])
		if err != nil {
			fmt.Println(err)
		}
		n += more
	}

	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	s.Settle(&into[1], leat.Settlement{Action: leat.GiveBack})
	_ = s.Close(ctx)
	// Output:
	// delete receipt-a
	// make visible receipt-b
	// make visible receipt-c
}
