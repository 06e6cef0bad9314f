package publish_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pooled is a batch whose memory is used again.
type pooled struct {
	publish.Batch[int]

	pool *sync.Pool
	room []entry
}

func (p *pooled) Release() { p.pool.Put(p) }

// TestConcurrentUse publishes from many goroutines, with answers, entries that are put back,
// deadlines, withdrawals and a full buffer at any time, and memory that is used again. Each event
// has one outcome.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const publishers, rounds, most = 8, 500, 20
	l := publish.New[int](publish.Options{Events: most, Timeout: 2 * time.Millisecond})
	var queue publish.Queue[int]
	var pool sync.Pool
	var reused atomic.Int64
	wake, answers := make(chan struct{}, 1), make(chan *entry)
	var sender, others sync.WaitGroup
	sender.Go(func() {
		defer close(answers)
		for range wake {
			for e := queue.Next(nil); e != nil; e = queue.Next(nil) {
				if rand.N(10) == 0 {
					queue.PutBack(e)
					continue
				}
				answers <- e
			}
		}
	})
	for range 3 {
		sender.Go(func() {
			for e := range answers {
				if rand.N(20) == 0 {
					<-time.After(rand.N(4 * time.Millisecond))
				}
				e.Done(nil)
			}
		})
	}
	accept := func(entries []entry) {
		if events, _ := publish.UnderWay(l); events > most {
			t.Errorf("%d events are under way", events)
		}
		for i := range entries {
			queue.Push(&entries[i])
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	for p := range publishers {
		others.Go(func() {
			for n := range rounds {
				events := make([]leat.Event, 1+rand.N(6))
				told := make([]atomic.Int32, len(events))
				var open sync.WaitGroup
				open.Add(len(events))
				b, _ := pool.Get().(*pooled)
				if b == nil {
					b = &pooled{pool: &pool, room: make([]entry, 6)}
					b.Owner = b
				} else {
					reused.Add(1)
				}
				b.Reset("topic", b.room, func(i int, _ error) {
					if told[i].Add(1) == 1 {
						open.Done()
					}
				})
				for i := range events {
					events[i] = event(t, fmt.Sprintf("%d-%d-%d", p, n, i), 1)
					b.Add(i, events[i])
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				if rand.N(3) == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), rand.N(2*time.Millisecond))
				}
				l.Admit(ctx, &b.Batch, accept)
				if ctx.Err() != nil {
					l.Withdraw(ctx, "topic", events)
				}
				cancel()
				open.Wait()
				for i := range told {
					assert.EqualValues(t, 1, told[i].Load(), "outcomes of one event")
				}
			}
		})
	}
	others.Wait()
	close(wake)
	sender.Wait()
	l.Close(t.Context())
	events, bytes := publish.UnderWay(l)
	assert.Zero(t, events)
	assert.Zero(t, bytes)
	assert.True(t, queue.Empty())
	require.Positive(t, reused.Load())
}
