package lease_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pushed is a stream whose asks last, and whose broker takes messages back when the test says so.
type pushed struct {
	*lease.Stream[string, int]

	t *testing.T

	mu    sync.Mutex
	taken map[string]bool
	back  []string
	asks  int
}

func newPushed(t *testing.T, o book.Options) *pushed {
	t.Helper()
	p := &pushed{t: t, taken: map[string]bool{}}
	p.Stream = lease.NewStream(lease.Options[string, int]{Term: term, Send: p.send}, o)
	p.Start(func(_ context.Context, want lease.Want[string, int]) error {
		p.mu.Lock()
		p.asks++
		p.mu.Unlock()
		select {
		case <-want.Lost:
		case <-want.Stop:
		}
		return nil
	})
	return p
}

func (p *pushed) send(_ context.Context, op lease.Op, batch []entry) []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := make([]error, len(batch))
	for i, e := range batch {
		if op == lease.GiveBack {
			p.back = append(p.back, e.ID)
		} else if p.taken[e.ID] {
			errs[i] = lease.ErrTaken
		}
	}
	return errs
}

// push is a message that the broker sends by itself.
func (p *pushed) push(id, key string) {
	e, err := leat.NewEvent("t", &leat.EventOptions{Source: "/s", ID: id, Key: key})
	require.NoError(p.t, err)
	p.Arrived(id, 1, time.Now(), &leat.Delivery{Event: e}, e.Size())
}

func (p *pushed) state() (asks int, back []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asks, p.back
}

func limits(events int, unordered bool) book.Options {
	return book.Options{Topic: "t", MaxInFlight: events, MaxInFlightBytes: 1 << 20, Unordered: unordered}
}

// TestAskThatLastsEndsWithALoss: what comes after a loss would overtake what was lost, so it is
// given back, and the next ask begins. Without order nothing ends.
func TestAskThatLastsEndsWithALoss(t *testing.T) {
	t.Parallel()
	for _, unordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPushed(t, limits(10, unordered))
			p.push("a", "k")
			p.mu.Lock()
			p.taken["a"] = true
			p.mu.Unlock()
			time.Sleep(term * 6 / 10) // an extension finds out
			synctest.Wait()
			asks, _ := p.state()
			if unordered {
				assert.Equal(t, 1, asks)
			} else {
				assert.Equal(t, 2, asks)
			}
			require.NoError(t, p.Close(t.Context()))
		})
	}
}

// TestAwait: with more than there is room for, a stream waits until half of it is settled, or until
// nothing waits for Receive.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPushed(t, limits(4, true))
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			p.push(id, "")
		}
		events, _ := p.Room()
		assert.Equal(t, -1, events)
		var room sync.WaitGroup
		ready := make(chan struct{})
		room.Go(func() {
			assert.True(t, p.Await(t.Context()))
			close(ready)
		})
		into := make([]leat.Delivery, 8)
		n, err := p.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		waits := func() bool {
			synctest.Wait()
			select {
			case <-ready:
				return false
			default:
				return true
			}
		}
		p.Settle(&into[0], leat.Settlement{Action: leat.Ack})
		p.Settle(&into[1], leat.Settlement{Action: leat.Ack})
		assert.True(t, waits(), "there is room for one, and one waits for Receive")
		_, err = p.Receive(t.Context(), into[4:])
		require.NoError(t, err)
		assert.False(t, waits(), "nothing waits for Receive")
		room.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.False(t, p.Await(ctx))
		require.NoError(t, p.Close(t.Context()))
	})
}

// TestAwaitRoom: a stream waits until there is room for as much as it is told.
func TestAwaitRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPushed(t, limits(4, true))
		for _, id := range []string{"a", "b", "c"} {
			p.push(id, "")
		}
		into := make([]leat.Delivery, 3)
		n, err := p.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		assert.True(t, p.AwaitRoom(t.Context(), 1, 1))
		var done atomic.Bool
		go func() {
			assert.True(t, p.AwaitRoom(t.Context(), 3, 1))
			done.Store(true)
		}()
		p.Settle(&into[0], leat.Settlement{Action: leat.Ack})
		synctest.Wait()
		assert.False(t, done.Load(), "there is room for two")
		p.Settle(&into[1], leat.Settlement{Action: leat.Ack})
		synctest.Wait()
		assert.True(t, done.Load())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // in fake time
		defer cancel()
		assert.False(t, p.AwaitRoom(ctx, 4, 1))
		assert.False(t, p.AwaitRoom(ctx, 1, 2<<20), "so many bytes never")
		require.NoError(t, p.Close(t.Context()))
	})
}
