package lease_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
)

// queueMessage is what the book keeps of a message: where it is, and its lease.
type queueMessage struct {
	lent   *lease.Message[string, string]
	number uint64
}

// queueStream is the part of an adapter's stream that a book and a keeper make short.
type queueStream struct {
	mu     sync.Mutex // guards the book
	book   *book.Book[*queueMessage]
	window *book.Window[*queueMessage]
	keeper *lease.Keeper[string, string] // by message id, with the receipt
	number map[string]*queueMessage      // by message id
}

func newQueueStream() *queueStream {
	s := &queueStream{number: map[string]*queueMessage{}}
	s.book = book.New[*queueMessage](&s.mu, book.Options{MaxInFlight: 100, MaxInFlightBytes: 1 << 20, Timed: true, KeylessLeave: true})
	s.window = s.book.Open(nil) // each message has its own lease
	s.keeper = lease.New(lease.Options[string, string]{Term: 30 * time.Second, Send: s.send, Lost: s.lost})
	return s
}

// send makes one request to the broker, which answers for each entry.
func (s *queueStream) send(_ context.Context, op lease.Op, batch []lease.Entry[string, string]) []error {
	for _, e := range batch {
		fmt.Println(map[lease.Op]string{lease.Ack: "delete", lease.GiveBack: "make visible"}[op], e.Value)
	}
	return nil
}

// lost takes a message whose lease is lost out of the book, and later ones of its key with it.
func (s *queueStream) lost(m *lease.Message[string, string], _ error) (others []*lease.Message[string, string]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := s.number[m.ID()]; of != nil && of.lent == m {
		delete(s.number, m.ID())
		for _, other := range s.window.Lose(of.number) {
			delete(s.number, other.lent.ID())
			others = append(others, other.lent)
		}
	}
	return others
}

// arrived takes a message that a request brought, which began at asked.
func (s *queueStream) arrived(id, receipt string, d leat.Delivery, asked time.Time) {
	lent, fresh := s.keeper.Take(id, asked, receipt)
	if !fresh {
		return // it is held, and settled by the new receipt
	}
	d.Lease = lent.Lease()
	s.mu.Lock()
	defer s.mu.Unlock()
	of := &queueMessage{lent: lent}
	of.number = s.window.Push(&d, d.Event.Size(), of)
	s.number[id] = of
}

func (s *queueStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	return s.book.Receive(ctx, into)
}

func (s *queueStream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, effect := s.book.Settle(d, how)
	switch effect {
	case book.Acked:
		s.keeper.Ack(of.lent)
	case book.Returned: // without a key: the broker delivers it again
		s.keeper.GiveBack(of.lent, how.Delay)
	case book.None, book.GivenBack, book.Rejected:
		return
	}
	delete(s.number, of.lent.ID())
}

func (s *queueStream) Close(ctx context.Context) error {
	s.mu.Lock()
	s.book.Shut(&leat.Error{Op: "receive", Code: leat.CodeClosed})
	s.mu.Unlock()
	return s.keeper.Close(ctx)
}

func Example() {
	s, ctx := newQueueStream(), context.Background()
	for _, id := range []string{"a", "b", "c", "a"} { // a comes twice
		event, err := leat.NewEvent("order.placed.v1", &leat.EventOptions{ID: id, Source: "/shop"})
		if err != nil {
			fmt.Println(err)
		}
		s.arrived(id, "receipt-"+id, leat.Delivery{Event: event}, time.Now())
	}
	into := make([]leat.Delivery, 10)
	n, _ := s.Receive(ctx, into)
	fmt.Println(n, "deliveries")

	s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
	_ = s.keeper.Flush(ctx) // the broker has confirmed the ack, and the lease of a has ended
	s.Settle(&into[1], leat.Settlement{Action: leat.GiveBack})
	_ = s.Close(ctx)
	// Output:
	// 3 deliveries
	// delete receipt-a
	// make visible receipt-b
	// make visible receipt-c
}
