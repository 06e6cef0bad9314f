package rabbitmq_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// long reports whether the long tests were asked for.
func long() bool { return os.Getenv("LEAT_LONG") != "" }

// load publishes and handles events all the time, and knows what became of each.
type load struct {
	t        *testing.T
	node     *brokertest.RabbitMQNode
	broker   *rabbitmq.Broker
	topic    string
	producer *leat.Producer
	stop     chan struct{}
	wg       sync.WaitGroup
	handled  atomic.Int64

	mu         sync.Mutex
	confirmed  map[string]bool
	seen       map[string]bool
	newest     map[string]int // by key
	codes      map[leat.Code]int
	duplicates int
	inversions map[string]int // events that came after one with this later number
}

const (
	loadKeys       = 64
	loadPublishers = 4
	loadAhead      = 20 // batches of a publisher, each with an event of each of its keys, that are without an answer
	loadInFlight   = 500
	loadBehind     = 20_000 // events that are confirmed and not handled; a queue must not become ever longer
)

// startLoad begins.
func startLoad(t *testing.T, n *brokertest.RabbitMQNode) *load {
	t.Helper()
	b := liveBroker(t, liveOptions(n))
	l := &load{
		t: t, node: n, broker: b, topic: liveName(t), producer: leat.NewProducer(b, nil), stop: make(chan struct{}), confirmed: map[string]bool{},
		seen: map[string]bool{}, newest: map[string]int{}, codes: map[leat.Code]int{},
		inversions: map[string]int{},
	}
	sub := leat.Subscription{Topic: l.topic, Group: "g"}
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(l.handle), &leat.ConsumerOptions{Concurrency: 32, MaxInFlight: loadInFlight})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, consumer) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	for p := range loadPublishers {
		l.wg.Go(func() { l.publish(p) })
	}
	return l
}

// publish publishes events of a part of the keys, one batch after the other. Many batches are
// without an answer at a time, and so are many events of each key.
func (l *load) publish(p int) {
	room := make(chan struct{}, loadAhead)
	for next := 0; ; next++ {
		select {
		case room <- struct{}{}:
		case <-l.stop:
			for range loadAhead { // the answers to all that is under way
				room <- struct{}{}
			}
			return
		}
		l.wait()
		var batch []leat.Event
		for k := p; k < loadKeys; k += loadPublishers {
			e, err := leat.NewEvent("load", &leat.EventOptions{ID: fmt.Sprintf("%d-%d", k, next), Source: "/load", Key: fmt.Sprint(k)})
			if err != nil {
				panic(err)
			}
			batch = append(batch, e.WithExtension("seq", int32(next)))
		}
		var left atomic.Int64
		left.Store(int64(len(batch)))
		l.producer.PublishAsync(context.Background(), l.topic, func(e leat.Event, err error) {
			l.mu.Lock()
			if err == nil {
				l.confirmed[e.ID()] = true
			}
			l.codes[leat.CodeOf(err)]++
			l.mu.Unlock()
			if left.Add(-1) == 0 {
				<-room
			}
		}, batch...)
	}
}

// wait returns when the handlers are not far behind, or at the load's end.
func (l *load) wait() {
	for {
		l.mu.Lock()
		behind := len(l.confirmed) - len(l.seen)
		l.mu.Unlock()
		if behind < loadBehind {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-l.stop:
			return
		}
	}
}

func (l *load) handle(_ context.Context, e leat.Event) error {
	var seq int
	if _, err := fmt.Sscanf(e.ID(), e.Key()+"-%d", &seq); err != nil {
		return leat.Reject(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handled.Add(1)
	if l.seen[e.ID()] {
		l.duplicates++
		return nil
	}
	l.seen[e.ID()] = true
	if last, known := l.newest[e.Key()]; known && seq < last {
		l.inversions[e.ID()] = last
	}
	l.newest[e.Key()] = max(seq, l.newest[e.Key()])
	return nil
}

// progress waits until n more events were handled.
func (l *load) progress(n int64) {
	l.t.Helper()
	want := l.handled.Load() + n
	for deadline := time.Now().Add(livePatience); l.handled.Load() < want; {
		if time.Now().After(deadline) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Fatalf("%d of %d events more were handled within %v; outcomes %v; health: %v; the queue: %+v", l.handled.Load()-want+n, n,
				livePatience, l.codes, l.broker.Health(), l.queue())
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-l.t.Context().Done():
		}
	}
}

// queue is what the node says of the load's queue.
func (l *load) queue() any {
	q, err := l.node.Queue(context.Background(), "/", l.topic+".g")
	if err != nil {
		return err
	}
	return q
}

// finish ends the load and checks that nothing is lost and all is in order. A fault may have each
// event in flight handled twice.
func (l *load) finish(faults int) {
	l.t.Helper()
	close(l.stop)
	l.wg.Wait()
	lost := func() (n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for id := range l.confirmed {
			if !l.seen[id] {
				n++
			}
		}
		return n
	}
	for deadline := time.Now().Add(livePatience); lost() > 0 && time.Now().Before(deadline); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-l.t.Context().Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%d confirmed, %d seen, %d handled twice, outcomes %v", len(l.confirmed), len(l.seen), l.duplicates, l.codes)
	missing := 0
	for id := range l.confirmed {
		if !l.seen[id] {
			missing++
		}
	}
	assert.Zero(l.t, missing, "confirmed and never handled")
	for id, last := range l.inversions {
		assert.False(l.t, l.confirmed[id], "%s came after %d", id, last)
	}
	l.t.Logf("%d of unknown outcome came later than their order", len(l.inversions))
	assert.LessOrEqual(l.t, l.duplicates, faults*loadInFlight)
	for code := range l.codes {
		assert.Contains(l.t, []leat.Code{leat.CodeOf(nil), leat.CodeUnknown, leat.CodeUnavailable}, code)
	}
}

// TestConnectionsClosedUnderLoad: an administrator closes all connections again and again.
func TestConnectionsClosedUnderLoad(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	times := 5
	if long() {
		times = 50
	}
	l := startLoad(t, n)
	for range times {
		l.progress(2_000)
		_, err := n.CloseConnections(t.Context(), nil)
		require.NoError(t, err)
	}
	l.progress(2_000)
	l.finish(times)
}

// TestKilledUnderLoad: the broker is killed, and started with its data.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	n := brokertest.StartRabbitMQ(t, nil)
	times := 2
	if long() {
		times = 20
	}
	l := startLoad(t, n)
	require.NoError(t, n.Sync(t.Context()))
	for range times {
		l.progress(2_000)
		n.Kill()
		require.NoError(t, n.Start(t.Context()))
	}
	l.progress(2_000)
	l.finish(times)
}
