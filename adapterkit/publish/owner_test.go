package publish_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/require"
)

// reused is memory that is used again.
type reused struct {
	batch publish.Batch[int]
	room  [1]entry
	free  chan *reused
}

func (p *reused) Release() { p.free <- p }

// An entry that one goroutine takes out while another withdraws it is not used again before it is
// begun or told: the race detector sees it otherwise, and so does the count.
func TestTakenWhileWithdrawn(t *testing.T) {
	l := publish.New[int](publish.Options{Timeout: time.Minute})
	var q publish.Queue[int]
	p := &reused{free: make(chan *reused, 1)}
	p.batch.Owner = p
	p.free <- p
	e := event(t, "a", 1)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	stop := make(chan struct{})
	var taking sync.WaitGroup
	for range 16 {
		taking.Go(func() {
			for {
				if taken := q.Next(nil); taken != nil {
					taken.Done(nil)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	const rounds = 50_000
	told := 0
	for range rounds {
		<-p.free
		outcome := make(chan struct{}, 2)
		p.batch.Reset("topic", p.room[:], func(int, error) { outcome <- struct{}{} })
		p.batch.Add(0, e)
		l.Admit(t.Context(), &p.batch, func(entries []entry) { q.Push(&entries[0]) })
		l.Withdraw(canceled, "topic", []leat.Event{e})
		select {
		case <-outcome:
			told++
		case <-time.After(10 * time.Second):
			t.Fatal("an event has no outcome")
		}
	}
	close(stop)
	taking.Wait()
	require.Equal(t, rounds, told)
	l.Close(t.Context())
}
