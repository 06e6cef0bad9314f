package cases

import (
	"sync"
	"time"
)

// pool is a number of goroutines that handle events in no order.
type pool struct {
	events  chan int
	workers sync.WaitGroup
}

// newPool starts the workers, each of which takes work for an event.
func newPool(workers int, work time.Duration, a *arrivals) *pool {
	p := &pool{events: make(chan int)}
	for range workers {
		p.workers.Go(func() {
			for i := range p.events {
				time.Sleep(work)
				a.handle(i)
			}
		})
	}
	return p
}

// give hands an event to the next free worker.
func (p *pool) give(i int) { p.events <- i }

// close waits for the workers.
func (p *pool) close() {
	close(p.events)
	p.workers.Wait()
}
