package awssnssqs_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// servers are those that restarts are tried on.
func servers(t *testing.T) map[string]string {
	t.Helper()
	stub := awsstub.Start()
	t.Cleanup(stub.Close)
	return map[string]string{"stub": stub.URL(), "ElasticMQ": brokertest.ElasticMQ(t)}
}

// TestDeliveriesOfRestarts: a clean restart adds one delivery to what it held, and none to the
// rest.
func TestDeliveriesOfRestarts(t *testing.T) {
	t.Parallel()
	for name, url := range servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const keys, each = 10, 3
			b := live(t, url)
			sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", MaxInFlight: keys}
			require.NoError(t, b.Declare(t.Context(), sub))
			events := brokertest.Events(t, 0, keys*each, keys)
			require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, events...))
			deliveries := map[string]int{}
			for range rounds(5, 20) {
				for _, d := range receiveFor(t, b, sub, false) {
					deliveries[d.Event.ID()]++
				}
			}
			require.NotEmpty(t, deliveries)
			all := receiveFor(t, b, sub, true)
			require.Len(t, all, len(events))
			for _, d := range all {
				require.Equal(t, deliveries[d.Event.ID()]+1, d.Deliveries, "of event %s", d.Event.ID())
			}
		})
	}
}

// receiveFor opens a stream, receives until nothing comes any more, and closes it.
func receiveFor(t *testing.T, b leat.Broker, sub leat.Subscription, ack bool) (all []leat.Delivery) {
	t.Helper()
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	into := make([]leat.Delivery, sub.MaxInFlight)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		n, err := s.Receive(ctx, into)
		cancel()
		if err != nil {
			break
		}
		all = append(all, into[:n]...)
		for i := range into[:n] {
			if ack {
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
		}
	}
	require.NoError(t, s.Close(t.Context()))
	return all
}

const (
	processVariable = "LEAT_TEST_SQS_CONSUMER" // the URL of a server and a topic, for a process of TestKilledConsumers
	processInFlight = 100
)

// handling is an event that a process has begun to handle.
type handling struct {
	at      int64 // Unix nanoseconds
	key, id string
}

// handlings are those of all processes.
type handlings struct {
	mu    sync.Mutex
	all   []handling
	known map[string]bool // by id
}

func (h *handlings) add(one handling) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, one)
	h.known[one.id] = true
}

func (h *handlings) distinct() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.known)
}

// verdict counts what was handled again, and the events that came first after a later one of their
// key.
func (h *handlings) verdict(t *testing.T) (twice, inversions int) {
	t.Helper()
	slices.SortFunc(h.all, func(a, b handling) int { return cmp.Compare(a.at, b.at) })
	seen, newest := map[string]bool{}, map[string]int{}
	for _, one := range h.all {
		n, err := strconv.Atoi(one.id)
		require.NoError(t, err)
		switch {
		case seen[one.id]:
			twice++
		case n < newest[one.key]:
			inversions++
		}
		seen[one.id] = true
		newest[one.key] = max(newest[one.key], n)
	}
	return twice, inversions
}

// start starts a process that consumes. It is killed by what start returns, which waits for its
// last words.
func (h *handlings) start(t *testing.T, url, topic string) (kill func()) {
	t.Helper()
	p := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConsumerInAProcess$", "-test.v")
	p.Env = append(os.Environ(), processVariable+"="+url+" "+topic)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var one handling
			if n, _ := fmt.Sscanf(lines.Text(), "handles %d %s %s", &one.at, &one.key, &one.id); n == 3 {
				h.add(one)
			}
		}
	}()
	return func() {
		_ = p.Process.Kill()
		<-read
		_ = p.Wait() // it was killed
	}
}

// TestKilledConsumers kills two processes of a group in turn, while events are published. Nothing
// is lost, a key is handled in order, and again only what was in flight.
func TestKilledConsumers(t *testing.T) {
	t.Parallel()
	server := awsstub.Start()
	t.Cleanup(server.Close)
	b, sub := live(t, server.URL()), leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	require.NoError(t, b.Declare(t.Context(), sub))
	h := &handlings{known: map[string]bool{}}
	kill := [2]func(){h.start(t, server.URL(), sub.Topic), h.start(t, server.URL(), sub.Topic)}
	t.Cleanup(func() { kill[0](); kill[1]() })

	const keys = 20
	published, stop, stopped := 0, make(chan struct{}), make(chan error, 1)
	go func() {
		producer := leat.NewProducer(b, nil)
		for ; ; published += keys {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-time.After(10 * time.Millisecond): // as fast as the processes handle
			}
			if err := producer.Publish(t.Context(), sub.Topic, brokertest.Events(t, published, published+keys, keys)...); err != nil {
				stopped <- err
				return
			}
		}
	}()
	more := func(n int) {
		goal := h.distinct() + n
		require.Eventually(t, func() bool { return h.distinct() >= goal }, 2*brokertest.Patience, 10*time.Millisecond)
	}
	more(200)
	kills := rounds(2, 20)
	for i := range kills {
		kill[i%2]()
		kill[i%2] = h.start(t, server.URL(), sub.Topic)
		more(200)
	}
	close(stop)
	require.NoError(t, <-stopped)
	require.Eventually(t, func() bool { return h.distinct() == published }, 2*brokertest.Patience, 10*time.Millisecond, "none is lost")
	kill[0]()
	kill[1]()
	twice, inversions := h.verdict(t)
	require.Zero(t, inversions, "of %d events", published)
	require.LessOrEqual(t, twice, kills*processInFlight)
	t.Logf("%d events, %d kills, %d handled twice", published, kills, twice)
}

// TestConsumerInAProcess is run by TestKilledConsumers, and prints what it handles.
func TestConsumerInAProcess(t *testing.T) {
	var url, topic string
	if n, _ := fmt.Sscan(os.Getenv(processVariable), &url, &topic); n != 2 {
		return
	}
	b, err := awssnssqs.New(&awssnssqs.Options{
		Mode: awssnssqs.ModeSQS, Endpoint: url, Wait: time.Second, Visibility: 5 * time.Second,
		Config: &aws.Config{Region: awsstub.Region, Credentials: static{}},
	})
	require.NoError(t, err)
	handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		fmt.Println("handles", time.Now().UnixNano(), e.Key(), e.ID())
		time.Sleep(2 * time.Millisecond) // the work, in which the process may be killed
		return nil
	})
	consumer := leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: "g"}, handler, &leat.ConsumerOptions{MaxInFlight: processInFlight})
	require.NoError(t, leat.Run(t.Context(), consumer))
}
