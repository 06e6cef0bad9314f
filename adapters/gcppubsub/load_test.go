package gcppubsub_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

const (
	consumerVariable = "LEAT_TEST_PUBSUB_CONSUMER" // what a process of TestKilledConsumers consumes
	faultKeys        = 20
	faultInFlight    = 100
	faultDeadline    = 10 * time.Second
	faultPatience    = 2 * time.Minute // a dead client's events wait for their deadline, and then for others
)

// rounds is how often a test injures something.
func rounds(short, long int) int {
	if brokertest.Long() {
		return long
	}
	return short
}

// bench is a server under load: what it keeps, and how much of it.
type bench struct {
	addr    string
	ordered bool
	pause   time.Duration // between publishes of an event of each key
	each    int           // events that are handled before the next fault
	again   int           // events that may be handled again after a fault
}

// benches are those of both servers: the emulator for load, pstest for order. The emulator has no
// flow control, so what fits into a connection is in flight, too.
func benches(t *testing.T) map[string]bench {
	t.Helper()
	return map[string]bench{
		"emulator": {addr: brokertest.PubSub(t), pause: 10 * time.Millisecond, each: 500, again: 5 * faultInFlight},
		"pstest":   {addr: startFake(t).Addr(), ordered: true, pause: 400 * time.Millisecond, each: 60, again: faultInFlight},
	}
}

func live(t *testing.T, addr string) *gcppubsub.Broker {
	t.Helper()
	b, err := gcppubsub.New(&gcppubsub.Options{Project: project, Endpoint: "http://" + addr, AckDeadline: faultDeadline})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// handlings are those of all consumers.
type handlings struct{ brokertest.Handlings }

// more waits until n more events were handled.
func (h *handlings) more(t *testing.T, n int) {
	t.Helper()
	goal := h.Distinct() + n
	require.Eventually(t, func() bool { return h.Distinct() >= goal }, faultPatience, 10*time.Millisecond)
}

// check ends a load of which all that was confirmed has to be handled, in order, and again only
// what was in flight.
func (h *handlings) check(t *testing.T, on bench, published, faults int) {
	t.Helper()
	require.Eventually(t, func() bool { return h.Distinct() >= published }, faultPatience, 10*time.Millisecond, "none is lost")
	twice, inversions := h.Verdict(t)
	t.Logf("%d confirmed, %d faults, %d handled twice, %d out of order", published, faults, twice, inversions)
	require.LessOrEqual(t, twice, faults*on.again)
	if on.ordered {
		require.Zero(t, inversions)
	}
}

// publishing publishes past the faults until it is stopped, which returns how many events were
// confirmed. Their ids count up.
func publishing(t *testing.T, on bench, topic string) (stop func() int) {
	t.Helper()
	producer := leat.NewProducer(live(t, on.addr), nil)
	ended, stopped := make(chan struct{}), make(chan error, 1)
	published := 0
	go func() {
		for ; ; published += faultKeys {
			select {
			case <-ended:
				stopped <- nil
				return
			case <-time.After(on.pause): // as fast as the server delivers
			}
			events := brokertest.Events(t, published, published+faultKeys, faultKeys)
			if err := producer.Publish(t.Context(), topic, events...); err != nil {
				stopped <- err
				return
			}
		}
	}()
	return func() int {
		close(ended)
		require.NoError(t, <-stopped)
		return published
	}
}

// TestFaultsUnderLoad cuts, resets and freezes a consumer's connections, in a long run also for
// longer than its deadlines.
func TestFaultsUnderLoad(t *testing.T) {
	t.Parallel()
	for name, on := range benches(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, err := eventtest.StartProxy(on.addr)
			require.NoError(t, err)
			t.Cleanup(proxy.Close)
			b, sub := live(t, proxy.Addr()), leat.Subscription{Topic: brokertest.Name(t), Group: "g", Unordered: !on.ordered}
			require.NoError(t, b.Declare(t.Context(), sub))
			h := &handlings{}
			consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
				h.Add(brokertest.Handles(e.Key(), e.ID()))
				return nil
			}), &leat.ConsumerOptions{MaxInFlight: faultInFlight})
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error, 1)
			go func() { ran <- leat.Run(ctx, consumer) }()
			stop := publishing(t, on, sub.Topic)
			faults := rounds(3, 20)
			for i := range faults {
				h.more(t, on.each)
				freeze := time.Second
				switch i % 4 {
				case 0:
					proxy.Cut()
					continue
				case 1:
					proxy.Reset()
					continue
				case 3: // the deadlines lapse
					freeze = faultDeadline + 2*time.Second
				}
				proxy.Freeze()
				<-time.After(freeze)
				proxy.Thaw()
			}
			h.more(t, on.each)
			h.check(t, on, stop(), faults)
			cancel()
			require.NoError(t, <-ran)
		})
	}
}

// start starts a process that consumes.
func (h *handlings) start(t *testing.T, on bench, topic string) (kill func()) {
	t.Helper()
	return h.Start(t, "TestConsumerInAProcess", consumerVariable, fmt.Sprintf("%s %s %t", on.addr, topic, on.ordered))
}

// TestKilledConsumers kills two processes of a group in turn, while events are published.
func TestKilledConsumers(t *testing.T) {
	t.Parallel()
	for name, on := range benches(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", Unordered: !on.ordered}
			require.NoError(t, live(t, on.addr).Declare(t.Context(), sub))
			h := &handlings{}
			kill := [2]func(){h.start(t, on, sub.Topic), h.start(t, on, sub.Topic)}
			t.Cleanup(func() { kill[0](); kill[1]() })
			stop := publishing(t, on, sub.Topic)
			h.more(t, on.each)
			kills := rounds(2, 20)
			for i := range kills {
				kill[i%2]()
				kill[i%2] = h.start(t, on, sub.Topic)
				h.more(t, on.each)
			}
			h.check(t, on, stop(), kills)
		})
	}
}

// TestConsumerInAProcess is run by TestKilledConsumers, and prints what it handles.
func TestConsumerInAProcess(t *testing.T) {
	var addr, topic string
	var ordered bool
	if n, _ := fmt.Sscan(os.Getenv(consumerVariable), &addr, &topic, &ordered); n != 3 {
		return
	}
	handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		fmt.Println(brokertest.Handles(e.Key(), e.ID()))
		time.Sleep(2 * time.Millisecond) // the work, in which the process may be killed
		return nil
	})
	sub := leat.Subscription{Topic: topic, Group: "g", Unordered: !ordered}
	consumer := leat.NewConsumer(live(t, addr), sub, handler, &leat.ConsumerOptions{MaxInFlight: faultInFlight})
	require.NoError(t, leat.Run(t.Context(), consumer))
}
