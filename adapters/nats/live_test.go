package nats_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/internal/brokertest"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// live returns a broker on the NATS that the tests share, or on hosts. The end of the test closes
// it.
func live(t *testing.T, o nats.Options) *nats.Broker {
	t.Helper()
	if o.Hosts == nil {
		o.Hosts = brokertest.NATS(t)
	}
	o.RequestTimeout, o.CloseTimeout = brokertest.Patience, 5*time.Second
	b, err := nats.New(&o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

// raw returns the native client. The end of the test closes it.
func raw(t *testing.T) jetstream.JetStream {
	t.Helper()
	nc, err := client.Connect("nats://" + brokertest.NATS(t)[0])
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, brokertest.Patience, 10*time.Millisecond, what)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]nats.Options{"binary": {}, "structured": {Structured: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokertest.RoundTrip(t.Context(), t, live(t, o), leat.Subscription{Topic: brokertest.Name(t), Group: "g.1"})
		})
	}
}

// load publishes events of some keys all the time and handles them, and knows what became of each.
type load struct {
	t       *testing.T
	broker  *nats.Broker
	topic   string
	stop    chan struct{}
	wg      sync.WaitGroup
	handled atomic.Int64

	mu         sync.Mutex
	confirmed  map[string]bool
	seen       map[string]bool
	newest     map[int]int // by key
	inversions map[string]int
	twice      int
}

const (
	loadKeys  = 32
	loadAhead = 50 // events of a key without an answer
)

func startLoad(t *testing.T, o nats.Options) *load {
	t.Helper()
	o.AckWait, o.PinnedTTL = ackWait, 2*time.Second
	l := &load{
		t: t, broker: live(t, o), topic: brokertest.Name(t), stop: make(chan struct{}),
		confirmed: map[string]bool{}, seen: map[string]bool{}, newest: map[int]int{}, inversions: map[string]int{},
	}
	sub := leat.Subscription{Topic: l.topic, Group: "g"}
	require.NoError(t, leat.Declare(t.Context(), l.broker, sub))
	consumer := leat.NewConsumer(l.broker, sub, leat.HandlerFunc(l.handle), &leat.ConsumerOptions{Concurrency: 32, MaxInFlight: 500})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, consumer) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	producer := leat.NewProducer(l.broker, nil)
	for key := range loadKeys {
		l.wg.Go(func() { l.publish(producer, key) })
	}
	return l
}

// publish publishes events of a key, one after the other.
func (l *load) publish(producer *leat.Producer, key int) {
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
		e, err := leat.NewEvent("load", &leat.EventOptions{ID: fmt.Sprintf("%d-%d", key, next), Source: "/load", Key: fmt.Sprint(key)})
		if err != nil {
			panic(err)
		}
		producer.PublishAsync(context.Background(), l.topic, func(e leat.Event, err error) {
			l.mu.Lock()
			if err == nil {
				l.confirmed[e.ID()] = true
			}
			l.mu.Unlock()
			<-room
		}, e)
		if err := l.wait(); err != nil {
			return
		}
	}
}

// wait returns when the handlers are not far behind.
func (l *load) wait() error {
	const most = 5_000
	for {
		l.mu.Lock()
		behind := len(l.confirmed) - len(l.seen)
		l.mu.Unlock()
		if behind < most {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-l.stop:
			return nil
		}
	}
}

func (l *load) handle(_ context.Context, e leat.Event) error {
	var key, next int
	if _, err := fmt.Sscanf(e.ID(), "%d-%d", &key, &next); err != nil {
		return leat.Reject(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handled.Add(1)
	if l.seen[e.ID()] {
		l.twice++
		return nil
	}
	l.seen[e.ID()] = true
	if last, known := l.newest[key]; known && next < last {
		l.inversions[e.ID()] = last
	}
	l.newest[key] = max(next, l.newest[key])
	return nil
}

// progress waits until n more events were handled.
func (l *load) progress(n int64) {
	l.t.Helper()
	want := l.handled.Load() + n
	eventually(l.t, "events are handled", func() bool { return l.handled.Load() >= want })
}

// finish ends the load and checks that nothing is lost and all is in order.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	l.wg.Wait()
	missing := func() (n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for id := range l.confirmed {
			if !l.seen[id] {
				n++
			}
		}
		return n
	}
	assert.Eventually(l.t, func() bool { return missing() == 0 }, brokertest.Patience, 10*time.Millisecond)
	assert.Zero(l.t, missing(), "confirmed and never handled")
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := 0
	for id, last := range l.inversions {
		if l.confirmed[id] { // one of unknown outcome ends the promise for its key
			wrong++
			l.t.Errorf("%s came after %d", id, last)
		}
	}
	l.t.Logf("%d confirmed, %d seen, %d handled twice, %d out of order", len(l.confirmed), len(l.seen), l.twice, wrong)
}

// TestKilledUnderLoad: the server is killed again and again, and started with its data.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	times := 2
	if long() {
		times = 20
	}
	server := brokertest.StartNATS(t, nil)
	l := startLoad(t, nats.Options{Hosts: server.Addrs()})
	for range times {
		l.progress(2_000)
		server.Kill()
		require.NoError(t, server.Start(t.Context()))
	}
	l.progress(2_000)
	l.finish()
}

// TestClusterLosesNodes: streams have three replicas, and one node after the other is killed and
// comes back.
func TestClusterLosesNodes(t *testing.T) {
	t.Parallel()
	times := 1
	if long() {
		times = 6
	}
	cluster := brokertest.StartNATS(t, &brokertest.NATSOptions{Nodes: 3})
	l := startLoad(t, nats.Options{Hosts: cluster.Addrs(), Replicas: 3})
	for i := range times {
		l.progress(1_000)
		node := cluster.Node(i%3 + 1)
		node.Kill()
		l.progress(1_000)
		require.NoError(t, node.Start(t.Context()))
	}
	l.progress(1_000)
	l.finish()
}
