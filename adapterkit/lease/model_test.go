package lease_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

// TestModel: with requests that are slow, fail, have no answer or fail in part, and messages that
// come again, no rule of leases is broken, and everything that was acked under a lease that lasts
// is acked in the end.
func TestModel(t *testing.T) {
	t.Parallel()
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			newLeaseModel(t, seed).run()
		})
	}
}

// leaseModel is a broker with faults, and a consumer.
type leaseModel struct {
	*broker

	r     *rand.Rand
	rmu   sync.Mutex
	luck  *rand.Rand // of requests
	ill   int        // one of so many requests fails
	next  int
	acked []*message
	out   []*message
	all   map[string]*message
}

func newLeaseModel(t *testing.T, seed uint64) *leaseModel {
	t.Helper()
	m := &leaseModel{r: rand.New(rand.NewPCG(seed, 1)), luck: rand.New(rand.NewPCG(seed, 2)), all: map[string]*message{}}
	m.ill = []int{2, 10, 1_000}[m.r.IntN(3)]
	m.broker = newBroker(t, options{
		MaxBatch: 1 + m.r.IntN(12), Requests: 1 + m.r.IntN(4), Linger: time.Duration(m.r.IntN(2)) * time.Millisecond,
	})
	m.sends(m.faulty)
	return m
}

// chance is true for one request of n; 0 means of m.ill.
func (m *leaseModel) chance(n int) bool {
	m.rmu.Lock()
	defer m.rmu.Unlock()
	return m.luck.IntN(cmp.Or(n, m.ill)) == 0
}

// faulty is a Send over a bad network to a broker that has bad days.
func (m *leaseModel) faulty(ctx context.Context, op lease.Op, batch []entry) []error {
	m.rules(op, batch)
	if m.chance(3) {
		timer := time.NewTimer(200 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return lease.All(len(batch), ctx.Err())
		}
	}
	if m.chance(0) {
		return lease.All(len(batch), errBroken)
	}
	if m.chance(0) {
		m.apply(op, batch) // and the answer is lost
		<-ctx.Done()
		return lease.All(len(batch), ctx.Err())
	}
	errs := make([]error, len(batch))
	for i := range batch {
		if errs[i] = errBroken; !m.chance(0) {
			errs[i] = m.apply(op, batch[i:i+1])[0]
		}
	}
	return errs
}

// rules checks what is sent.
func (m *leaseModel) rules(op lease.Op, batch []entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range batch {
		over := m.all[e.ID].Lease().Ended()
		require.Equal(m.t, op == lease.GiveBack, over, "%d of %s, whose lease has ended: %t (L3, L6)", op, e.ID, over)
		l := m.lent[e.ID]
		require.False(m.t, op == lease.GiveBack && l != nil && !time.Now().Before(l.until), "L6: %s is given back after its term", e.ID)
	}
}

// expire is the broker, which takes back what is not extended. No lease may last then (L2, L3).
func (m *leaseModel) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.lent {
		if time.Now().After(l.until) {
			require.True(m.t, m.all[id].Lease().Ended(), "L2: %s is taken back while its lease lasts", id)
			delete(m.lent, id)
		}
	}
}

func (m *leaseModel) run() {
	for range 1_500 {
		time.Sleep(20 * time.Millisecond)
		m.expire()
		switch k := m.r.IntN(12); {
		case k < 3 && len(m.out) < 100:
			m.next++
			id := fmt.Sprint(m.next)
			x := m.deliver(id)
			m.mu.Lock()
			m.all[id] = x
			m.mu.Unlock()
			m.out = append(m.out, x)
		case k == 3 && len(m.out) > 0:
			x := m.out[m.r.IntN(len(m.out))]
			m.mu.Lock()
			l := m.lent[x.ID()]
			m.mu.Unlock()
			if l != nil && !x.Lease().Ended() { // it comes again
				require.Same(m.t, x, m.deliver(x.ID()), "L5")
			}
		case k < 7 && len(m.out) > 0:
			m.settle(m.r.IntN(len(m.out)))
		}
	}
	m.rmu.Lock()
	m.ill = 1_000_000 // all is well again
	m.rmu.Unlock()
	for len(m.out) > 0 {
		m.settle(0)
	}
	require.NoError(m.t, m.k.Flush(m.t.Context()))
	time.Sleep(2 * term)
	m.expire()
	for _, x := range m.acked {
		over, cause := ended(x)
		require.True(m.t, over, "L7: %s was acked", x.ID())
		require.True(m.t, cause != nil || !slices.Contains(m.left(), x.ID()), "T1: %s was acked in time, and is not stored", x.ID())
	}
	m.close()
	require.Empty(m.t, m.left())
}

func (m *leaseModel) settle(i int) {
	x := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	if m.r.IntN(4) == 0 {
		m.k.GiveBack(x, time.Duration(m.r.IntN(3))*time.Second)
		return
	}
	m.k.Ack(x)
	m.acked = append(m.acked, x)
}
