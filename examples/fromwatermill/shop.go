package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

var errBusy = errors.New("the bank is busy")

// shop is what the handlers do, whoever calls them. It keeps the books.
type shop struct {
	orders []Order
	done   chan struct{} // closed when all orders are shipped

	mu      sync.Mutex
	tries   map[string]int
	charged map[string]int
	shipped map[string]int
}

func newShop(n int) *shop {
	s := &shop{done: make(chan struct{}), tries: map[string]int{}, charged: map[string]int{}, shipped: map[string]int{}}
	for i := range n {
		s.orders = append(s.orders, Order{ID: fmt.Sprintf("A-%d", i), Cents: 100 * i})
	}
	return s
}

// charge takes the money. Every fifth order fails at first.
func (s *shop) charge(o Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries[o.ID]++; o.Cents%500 == 0 && s.tries[o.ID] == 1 {
		return errBusy
	}
	s.charged[o.ID]++
	return nil
}

// ship sends the order off, once: a message may come twice.
func (s *shop) ship(o Order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shipped[o.ID]++; s.shipped[o.ID] == 1 && len(s.shipped) == len(s.orders) {
		close(s.done)
	}
	return nil
}

// wait returns when all orders are shipped.
func (s *shop) wait(ctx context.Context) error {
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *shop) report() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tries := 0
	for _, n := range s.tries {
		tries += n
	}
	return fmt.Sprintf("%d orders, %d charged in %d attempts, %d shipped", len(s.orders), len(s.charged), tries, len(s.shipped))
}
