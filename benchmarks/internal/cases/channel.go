package cases

import (
	"context"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// channel is the base of the in-memory groups: a buffered channel of events and goroutines that
// receive from it.
type channel struct {
	*load.Counter

	next      func(i int) (leat.Event, error)
	queue     chan leat.Event
	receivers sync.WaitGroup
}

// channelOptions say what a channel case does.
type channelOptions struct {
	depth, receivers int
	// work is how long the handler of an event takes; 0 means that it does nothing.
	work time.Duration
	// made makes every event when it is published, instead of before.
	made bool
}

// startChannel returns the set-up of a channel case.
func startChannel(o channelOptions) func(context.Context, int) (bench.Instance, error) {
	return func(context.Context, int) (bench.Instance, error) {
		next, err := supply(0, o.made, newLeatEvent)
		if err != nil {
			return nil, err
		}
		c := &channel{Counter: load.NewCounter(), next: next, queue: make(chan leat.Event, o.depth)}
		for range o.receivers {
			c.receivers.Go(func() {
				for range c.queue {
					if o.work > 0 {
						time.Sleep(o.work)
					}
					c.Add()
				}
			})
		}
		return c, nil
	}
}

// Run sends n events.
func (c *channel) Run(ctx context.Context, n int) error {
	c.Expect(n)
	for i := range n {
		e, err := c.next(i)
		if err != nil {
			return err
		}
		c.queue <- e
	}
	return c.Wait(ctx)
}

// Close ends the receivers.
func (c *channel) Close() error {
	close(c.queue)
	c.receivers.Wait()
	return nil
}
