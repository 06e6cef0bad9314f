package load

import (
	"sync"
	"time"
)

// Pool is a number of goroutines that handle events in no order.
type Pool struct {
	events  chan int
	workers sync.WaitGroup
}

// NewPool starts the workers, each of which takes work for an event.
func NewPool(workers int, work time.Duration, a *Arrivals) *Pool {
	p := &Pool{events: make(chan int)}
	for range workers {
		p.workers.Go(func() {
			for i := range p.events {
				time.Sleep(work)
				a.Handle(i)
			}
		})
	}
	return p
}

// Give hands an event to the next free worker.
func (p *Pool) Give(i int) { p.events <- i }

// Close waits for the workers.
func (p *Pool) Close() {
	close(p.events)
	p.workers.Wait()
}
