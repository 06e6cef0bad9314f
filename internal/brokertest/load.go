package brokertest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

const (
	loadKeys       = 64
	loadPublishers = 4
	loadAhead      = 20     // batches of a publisher, each with an event of each of its keys, that are without an answer
	loadBehind     = 20_000 // events that are confirmed and not handled; a queue must not become ever longer
)

// LoadInFlight is the MaxInFlight of a load.
const LoadInFlight = 500

// Load publishes and handles events all the time, while a test injures the broker, and knows what
// became of each.
type Load struct {
	t        testing.TB
	broker   leat.Broker
	state    func() any
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
	twice      int
	inversions map[string]int // events that came after one with this later number
}

// StartLoad begins with a topic of its own. The end of the test stops the handlers, and not what
// publishes, which Finish does. State says what the broker has of the topic, for a load that comes
// to a stand; nil says nothing.
func StartLoad(t testing.TB, b leat.Broker, topic string, state func() any) *Load {
	t.Helper()
	l := &Load{
		t: t, broker: b, state: state, topic: topic, producer: leat.NewProducer(b, nil), stop: make(chan struct{}),
		confirmed: map[string]bool{}, seen: map[string]bool{}, newest: map[string]int{}, codes: map[leat.Code]int{},
		inversions: map[string]int{},
	}
	if l.state == nil {
		l.state = func() any { return nil }
	}
	sub := leat.Subscription{Topic: topic, Group: "g"}
	require(t, leat.Declare(t.Context(), b, sub))
	consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(l.handle), &leat.ConsumerOptions{Concurrency: 32, MaxInFlight: LoadInFlight})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- leat.Run(ctx, consumer) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the handlers of the load: %v", err)
		}
	})
	for p := range loadPublishers {
		l.wg.Go(func() { l.publish(p) })
	}
	return l
}

// publish publishes events of a part of the keys, one batch after the other. Many batches are
// without an answer at a time, and so are many events of each key.
func (l *Load) publish(p int) {
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
			e, err := leat.NewEvent("load", &leat.EventOptions{ID: fmt.Sprintf("%d-%d", k, next), Source: "/load", Key: strconv.Itoa(k)})
			if err != nil {
				l.t.Error(err)
				return
			}
			batch = append(batch, e)
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
func (l *Load) wait() {
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

func (l *Load) handle(_ context.Context, e leat.Event) error {
	var seq int
	if _, err := fmt.Sscanf(e.ID(), e.Key()+"-%d", &seq); err != nil {
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
	if last, known := l.newest[e.Key()]; known && seq < last {
		l.inversions[e.ID()] = last
	}
	l.newest[e.Key()] = max(seq, l.newest[e.Key()])
	return nil
}

// Progress waits until n more events were handled, for no longer than [Patience].
func (l *Load) Progress(n int64) {
	l.t.Helper()
	want := l.handled.Load() + n
	if l.eventually(func() bool { return l.handled.Load() >= want }) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var health error
	if h, ok := l.broker.(leat.HealthReporter); ok {
		health = h.Health()
	}
	l.t.Fatalf("%d of %d events more were handled within %v; outcomes %v; health: %v; the broker has: %+v",
		l.handled.Load()-want+n, n, Patience, l.codes, health, l.state())
}

// handleAll waits until everything that was confirmed is handled, and returns false when no event
// is handled for the first time within Patience. A busy machine needs longer for what is left in
// the end, and loses none of it.
func (l *Load) handleAll() bool {
	for left := l.missing(); left > 0; left = l.missing() {
		if !l.eventually(func() bool { return l.missing() < left }) {
			return false
		}
	}
	return true
}

// eventually waits until f returns true, and returns false when that takes longer than Patience.
func (l *Load) eventually(f func() bool) bool {
	for deadline := time.Now().Add(Patience); !f(); {
		if time.Now().After(deadline) {
			return false
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-l.t.Context().Done():
			return false
		}
	}
	return true
}

// missing counts what was confirmed and not handled.
func (l *Load) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.confirmed {
		if !l.seen[id] {
			n++
		}
	}
	return n
}

// Finish ends the load and checks that nothing is lost, that all is in order, that no event was
// refused for another reason than the broker's absence, and that no more than most were handled
// twice.
func (l *Load) Finish(most int) {
	l.t.Helper()
	close(l.stop)
	l.wg.Wait()
	if !l.handleAll() {
		l.t.Errorf("%d events were confirmed and never handled; the broker has: %+v", l.missing(), l.state())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	unordered := 0
	for id, last := range l.inversions {
		if l.confirmed[id] { // one of unknown outcome ends the promise for its key
			l.t.Errorf("%s came after %d", id, last)
		} else {
			unordered++
		}
	}
	l.t.Logf("%d confirmed, %d seen, %d handled twice, outcomes %v, %d of unknown outcome came later than their order",
		len(l.confirmed), len(l.seen), l.twice, l.codes, unordered)
	if l.twice > most {
		l.t.Errorf("%d events were handled twice; at most %d may be", l.twice, most)
	}
	for code, n := range l.codes {
		if !slices.Contains([]leat.Code{leat.CodeOf(nil), leat.CodeUnknown, leat.CodeUnavailable}, code) {
			l.t.Errorf("%d publishes ended with %v", n, code)
		}
	}
}
