package book_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
)

// receipt is what this example's broker wants to be told to forget a message.
type receipt string

// stream is the part of an adapter's stream that a book makes short.
type stream struct {
	mu   sync.Mutex
	book *book.Book[receipt]
	acks []receipt // to be sent to the broker
}

func (s *stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	return s.book.Receive(ctx, into)
}

func (s *stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, effect := s.book.Settle(d, how); effect == book.Acked {
		s.acks = append(s.acks, r)
	}
}

func Example() {
	s := &stream{}
	s.book = book.New[receipt](&s.mu, book.Options{MaxInFlight: 100, MaxInFlightBytes: 1 << 20})
	s.mu.Lock()
	window := s.book.Open(leat.NewLease())
	for _, id := range []string{"1", "2"} { // messages arrive
		event, err := leat.NewEvent("order.placed.v1", &leat.EventOptions{ID: id, Source: "/shop", Key: "customer-7"})
		if err != nil {
			fmt.Println(err)
		}
		window.Push(&leat.Delivery{Event: event}, event.Size(), receipt("receipt-"+id))
	}
	s.mu.Unlock()

	ctx := context.Background()
	into := make([]leat.Delivery, 10)
	n, _ := s.Receive(ctx, into)
	fmt.Println(n, "deliveries")
	first, second := into[0], into[1]

	s.Settle(&first, leat.Settlement{Action: leat.GiveBack}) // both have one key:
	s.Settle(&second, leat.Settlement{Action: leat.Ack})     // the first waits for the second
	n, _ = s.Receive(ctx, into)
	fmt.Println(n, "delivery:", into[0].Event.ID())

	s.Settle(&first, leat.Settlement{Action: leat.Ack}) // an old round has no effect
	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	fmt.Println(s.acks)
	// Output:
	// 2 deliveries
	// 1 delivery: 1
	// [receipt-2 receipt-1]
}
