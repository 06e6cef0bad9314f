package leat_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const term = 10 * time.Second

// watchLease returns what tells how often, when and why a lease ended.
func watchLease(l *leat.Lease) func() (times int, after time.Duration, cause error) {
	began := time.Now()
	var times int
	var after time.Duration
	var cause error
	var mu sync.Mutex
	l.Attach(func(release func()) { release() }, func(why error) {
		mu.Lock()
		defer mu.Unlock()
		times, after, cause = times+1, time.Since(began), why
	})
	return func() (int, time.Duration, error) {
		mu.Lock()
		defer mu.Unlock()
		return times, after, cause
	}
}

func TestTimedLeaseEndsBeforeTheBrokersTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leat.NewTimedLeases(term).New(time.Now().Add(-2 * time.Second)) // the request took 2 s
		ended := watchLease(l.Lease())
		time.Sleep(7*time.Second - 1)
		synctest.Wait()
		assert.False(t, l.Lease().Ended())
		assert.False(t, l.Lease().Draining())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		n, at, cause := ended()
		assert.Equal(t, 1, n)
		assert.Equal(t, 7*time.Second, at)
		assert.ErrorIs(t, cause, leat.ErrLeaseLost)
		assert.True(t, l.Lease().Ended())
		assert.False(t, l.Extended(time.Now()), "it is too late")
		assert.True(t, l.Lease().Ended())
	})
}

func TestTimedLeaseIsCountedFromWhereTheExtensionWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leat.NewTimedLeases(term).New(time.Now())
		ended := watchLease(l.Lease())
		assert.Equal(t, 5*time.Second, time.Until(l.ExtendAt()))
		time.Sleep(5 * time.Second)
		asked := time.Now()
		time.Sleep(3 * time.Second) // the request blocks
		require.True(t, l.Extended(asked))
		assert.Equal(t, 2*time.Second, time.Until(l.ExtendAt()))
		require.True(t, l.Extended(asked.Add(-time.Second)), "the answer to an earlier request comes later")
		assert.Equal(t, 2*time.Second, time.Until(l.ExtendAt()))
		time.Sleep(time.Minute)
		n, at, _ := ended()
		assert.Equal(t, 1, n)
		assert.Equal(t, 14*time.Second, at)
	})
}

func TestTimedLeaseThatEndsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leat.NewTimedLeases(term).New(time.Now())
		ended := watchLease(l.Lease())
		time.Sleep(time.Second)
		l.Lease().End(nil)
		time.Sleep(time.Minute)
		n, at, cause := ended()
		assert.Equal(t, 1, n)
		assert.Equal(t, time.Second, at)
		require.NoError(t, cause)
		assert.False(t, l.Extended(time.Now()))
	})
}

func TestTimedLeaseThatIsOverAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, l := range []*leat.TimedLease{
			leat.NewTimedLeases(term).New(time.Now().Add(-9 * time.Second)),
			leat.NewTimedLeases(0).New(time.Now()),
			leat.NewTimedLeases(-time.Second).New(time.Now()),
		} {
			assert.True(t, l.Lease().Ended())
			ended := watchLease(l.Lease())
			n, _, cause := ended()
			assert.Equal(t, 1, n)
			require.ErrorIs(t, cause, leat.ErrLeaseLost)
			assert.False(t, l.Extended(time.Now()))
		}
	})
}

func TestTimedLeaseGoesOnWhileItDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := leat.NewTimedLeases(term).New(time.Now())
		l.Lease().Attach(func(func()) {}, func(error) {})
		l.Lease().Drain(func() {})
		time.Sleep(5 * time.Second)
		require.True(t, l.Extended(time.Now()))
		time.Sleep(8 * time.Second)
		assert.False(t, l.Lease().Ended())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.True(t, l.Lease().Ended())
	})
}

// TestConsumerOfTimedLeases: a handler that outlives its lease is told, and one whose lease is
// extended is left alone.
func TestConsumerOfTimedLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		tr := newTrace()
		r := start(t, b, func(ctx context.Context, e leat.Event) error {
			select {
			case <-ctx.Done():
				tr.at("%s lost: %t", e.ID(), errors.Is(context.Cause(ctx), leat.ErrLeaseLost))
			case <-time.After(20 * time.Second):
				tr.at("%s handled", e.ID())
			}
			return nil
		}, &leat.ConsumerOptions{Concurrency: 2})
		kept, lost := leat.NewTimedLeases(term).New(time.Now()), leat.NewTimedLeases(term).New(time.Now())
		b.deliver(kept.Lease(), event(t, "1", "a"))
		b.deliver(lost.Lease(), event(t, "2", "b"), event(t, "3", "b"))
		for range 5 {
			time.Sleep(5 * time.Second)
			kept.Extended(time.Now())
		}
		assert.Equal(t, []string{"9s 2 lost: true", "20s 1 handled"}, tr.all())
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		r.stopClean()
	})
}

func TestTimedLeaseIsCheap(t *testing.T) {
	plain := testing.AllocsPerRun(1000, func() { leat.NewLease().End(nil) })
	leases, asked := leat.NewTimedLeases(time.Hour), time.Now()
	timed := testing.AllocsPerRun(1000, func() { leases.New(asked).Lease().End(nil) })
	assert.InDelta(t, plain, timed, 0.1, "a timed lease allocates no more than a plain one")
}

// TestTimedLeasesEndEachAtItsTime: leases that share a timer, asked for in any order, some
// extended, some ended in order.
func TestTimedLeasesEndEachAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leases := leat.NewTimedLeases(term)
		dice := rand.New(rand.NewPCG(1, 2))
		var wg sync.WaitGroup
		for range 300 {
			time.Sleep(time.Duration(dice.IntN(200)) * time.Millisecond)
			asked := time.Now().Add(-time.Duration(dice.IntN(8_000)) * time.Millisecond)
			l := leases.New(asked)
			ended := watchLease(l.Lease())
			begun, want, lost := time.Now(), asked.Add(9*time.Second), true
			stay, fate := time.Duration(dice.Int64N(int64(time.Until(want)))), dice.IntN(3)
			wg.Go(func() {
				switch fate {
				case 0:
					time.Sleep(stay)
					assert.True(t, l.Extended(time.Now()))
					want = time.Now().Add(9 * time.Second)
				case 1:
					time.Sleep(stay)
					l.Lease().End(nil)
					want, lost = time.Now(), false
				}
				time.Sleep(20 * time.Second)
				n, after, cause := ended()
				assert.Equal(t, 1, n)
				assert.Equal(t, want, begun.Add(after))
				assert.Equal(t, lost, cause != nil)
			})
		}
		wg.Wait()
	})
}

// TestTimedLeaseIsExtendedOrLost: an extension at the last moment either is noted or comes too
// late, and no lease is forgotten.
func TestTimedLeaseIsExtendedOrLost(t *testing.T) {
	const short = 2 * time.Millisecond
	leases := leat.NewTimedLeases(short)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			l := leases.New(time.Now())
			over := make(chan struct{})
			l.Lease().Attach(func(func()) {}, func(error) { close(over) })
			for range 200 {
				for time.Until(l.ExtendAt()) > -short/3 {
					runtime.Gosched()
				}
				if !l.Extended(time.Now()) {
					break
				}
			}
			select {
			case <-over:
			case <-time.After(10 * time.Second):
				t.Error("a lease never ended")
			}
			assert.True(t, l.Lease().Ended())
		})
	}
	wg.Wait()
}

func BenchmarkLease(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			leat.NewLease().End(nil)
		}
	})
	b.Run("timed", func(b *testing.B) {
		b.ReportAllocs()
		leases, asked := leat.NewTimedLeases(time.Hour), time.Now()
		for b.Loop() {
			leases.New(asked).Lease().End(nil)
		}
	})
	b.Run("extended", func(b *testing.B) {
		b.ReportAllocs()
		l := leat.NewTimedLeases(time.Hour).New(time.Now())
		for b.Loop() {
			l.Extended(time.Now())
		}
	})
}
