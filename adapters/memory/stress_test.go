package memory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// model is what the stress test believes: which events were handled, and who holds which key.
type model struct {
	mu      sync.Mutex
	handled map[string]int // by key: events are numbered from 0, and this is how many were handled at least once
	loose   map[string]bool
	holders map[string]*keyHolder
	wrong   []string
}

type keyHolder struct {
	worker *worker
	lease  *leat.Lease
	count  int
}

func (m *model) fail(format string, args ...any) {
	if len(m.wrong) < 10 {
		m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
	}
}

// received checks R3: while a lease lasts, nobody else holds its keys.
func (m *model) received(w *worker, d *leat.Delivery) {
	key := d.Event.Key()
	if key == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.holders[key]
	if h == nil || h.worker != w || h.lease != d.Lease {
		if h != nil && h.count > 0 && !h.lease.Ended() {
			m.fail("R3: key %s is delivered to two streams at a time", key)
		}
		h = &keyHolder{worker: w, lease: d.Lease}
		m.holders[key] = h
	}
	h.count++
}

// settling is called before every Settle.
func (m *model) settling(w *worker, d *leat.Delivery, handled bool) {
	key := d.Event.Key()
	m.mu.Lock()
	defer m.mu.Unlock()
	if h := m.holders[key]; h != nil && h.worker == w && h.lease == d.Lease {
		h.count--
	}
	if !handled {
		return
	}
	if key == "" {
		m.loose[d.Event.ID()] = true
		return
	}
	n, _ := strconv.Atoi(d.Event.ID())
	switch {
	case n > m.handled[key]:
		m.fail("order of key %s: %d is handled before %d", key, n, m.handled[key])
	case n == m.handled[key]:
		m.handled[key]++
	}
}

// worker consumes one stream, one batch after the other, and releases drained leases between
// batches.
type worker struct {
	m        *model
	s        leat.Stream
	rng      *rand.Rand
	mu       sync.Mutex
	busy     bool
	releases []func()
}

func (w *worker) drain(release func()) {
	w.mu.Lock()
	if w.busy {
		w.releases = append(w.releases, release)
		w.mu.Unlock()
		return
	}
	w.mu.Unlock()
	release()
}

func (w *worker) setBusy(busy bool) {
	w.mu.Lock()
	w.busy = busy
	releases := w.releases
	if !busy {
		w.releases = nil
	}
	w.mu.Unlock()
	for _, release := range releases {
		if !busy {
			release()
		}
	}
}

func (w *worker) run(ctx context.Context, batches int) {
	into := make([]leat.Delivery, 1+w.rng.IntN(40))
	attached := map[*leat.Lease]bool{}
	for range batches {
		n, err := w.s.Receive(ctx, into)
		if err != nil {
			break
		}
		w.setBusy(true)
		given := map[string]bool{}
		for i := range n {
			w.m.received(w, &into[i])
			if !attached[into[i].Lease] {
				attached[into[i].Lease] = true
				into[i].Lease.Attach(w.drain, func(error) {})
			}
		}
		for i := range n {
			w.settle(&into[i], given)
		}
		w.setBusy(false)
	}
	_ = w.s.Close(ctx)
}

// settle handles a delivery, gives it back together with the later ones of its key, or lets it be
// until the lease ends.
func (w *worker) settle(d *leat.Delivery, given map[string]bool) {
	if w.rng.IntN(20) == 0 {
		time.Sleep(time.Duration(w.rng.IntN(30)) * time.Millisecond)
	}
	key := d.Event.Key()
	if d.Lease.Ended() {
		given[key] = true
	}
	if given[key] && key != "" || w.rng.IntN(10) == 0 {
		given[key] = true
		w.m.settling(w, d, false)
		w.s.Settle(d, leat.Settlement{Action: leat.GiveBack, Delay: time.Duration(w.rng.IntN(3)*w.rng.IntN(5)) * time.Millisecond})
		return
	}
	w.m.settling(w, d, true)
	w.s.Settle(d, ack)
}

func TestStress(t *testing.T) {
	seeds := []uint64{1, 2, 3, uint64(time.Now().UnixNano())}
	if s, err := strconv.ParseUint(os.Getenv("LEAT_SEED"), 10, 64); err == nil {
		seeds = []uint64{s}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("repeat with LEAT_SEED=%d", seed)
				}
			}()
			o := &memory.Options{Buffer: 200, LeaseDuration: 60 * time.Millisecond, FullTimeout: 20 * time.Millisecond}
			bubble(t, o, func(t *testing.T, b *memory.Broker) { stress(t, b, seed) })
		})
	}
}

const (
	stressPublishers = 3
	stressKeys       = 40 // of each publisher
	stressEvents     = 2500
)

func stress(t *testing.T, b *memory.Broker, seed uint64) {
	m := &model{handled: map[string]int{}, loose: map[string]bool{}, holders: map[string]*keyHolder{}}
	declare(t, b, billing)
	var publishers, workers, chaos sync.WaitGroup
	published := make([]map[string]int, stressPublishers)
	for p := range stressPublishers {
		published[p] = map[string]int{}
		rng := rand.New(rand.NewPCG(seed, uint64(p)))
		publishers.Go(func() { stressPublish(t, b, rng, p, published[p]) })
	}
	ctx, stop := context.WithCancel(t.Context())
	for i := range 4 {
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		workers.Go(func() {
			for ctx.Err() == nil {
				s, err := b.Subscribe(ctx, billing)
				if err != nil {
					return
				}
				w := &worker{m: m, s: s, rng: rng}
				w.run(ctx, 5+rng.IntN(60))
			}
		})
	}
	chaotic, calm := context.WithCancel(t.Context())
	chaos.Go(func() { stressChaos(chaotic, b, rand.New(rand.NewPCG(seed, 999))) })

	publishers.Wait()
	calm()
	chaos.Wait()
	for range 10_000 {
		if queued, unsettled, _ := b.Depth("orders", "billing"); queued+unsettled == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	synctest.Wait()
	stop()
	workers.Wait()
	requireDepth(t, b, 0, 0)
	require.Empty(t, m.wrong)
	for p := range published {
		for key, n := range published[p] {
			if key == "" {
				continue
			}
			require.Equal(t, n, m.handled[key], "loss: key %s", key)
		}
		for i := range published[p][""] {
			require.True(t, m.loose[fmt.Sprintf("%d/%d", p, i)], "loss: an event without key")
		}
	}
}

// stressPublish publishes events that are numbered by key, and each again until it is confirmed.
func stressPublish(t *testing.T, b *memory.Broker, rng *rand.Rand, p int, published map[string]int) {
	for range stressEvents {
		key, id := "", fmt.Sprintf("%d/%d", p, published[""])
		if rng.IntN(4) > 0 {
			key = fmt.Sprintf("%d-%d", p, rng.IntN(stressKeys))
			id = strconv.Itoa(published[key])
		}
		e := event(t, id, key, rng.IntN(50))
		for outcomes(context.Background(), t, b, "orders", e)[0] != nil {
			time.Sleep(time.Millisecond)
		}
		published[key]++
		if rng.IntN(30) == 0 {
			time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
		}
	}
}

func stressChaos(ctx context.Context, b *memory.Broker, rng *rand.Rand) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(1+rng.IntN(40)) * time.Millisecond)
		switch rng.IntN(4) {
		case 0:
			b.Crash()
		case 1:
			_ = b.ExpireLeases("orders", "billing")
		case 2:
			b.StallLeases(true)
			time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
			b.StallLeases(false)
		}
	}
}
