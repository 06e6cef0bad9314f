package rabbitmq_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// processVariable has the configuration of the process that TestConsumerProcess is.
const processVariable = "LEAT_TEST_CONSUMER"

type processConfig struct {
	Addr  string `json:"addr"`
	Topic string `json:"topic"`
	Group string `json:"group"`
}

// TestConsumerProcess is no test but the program of a consumer that testTakeover kills. It writes a
// line for each handling.
func TestConsumerProcess(t *testing.T) {
	text := os.Getenv(processVariable)
	if text == "" {
		t.Skip("it is run by TestFaults/takeover")
	}
	var c processConfig
	require.NoError(t, json.Unmarshal([]byte(text), &c))
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{c.Addr}})
	handler := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		<-time.After(time.Millisecond)
		_, err := fmt.Fprintf(os.Stdout, "handled %s %s\n", e.Key(), e.ID()) // one write, which a kill does not cut
		return err
	})
	o := &leat.ConsumerOptions{Concurrency: 16, MaxInFlight: takeoverInFlight}
	require.NoError(t, leat.Run(t.Context(), leat.NewConsumer(b, leat.Subscription{Topic: c.Topic, Group: c.Group}, handler, o)))
}

const (
	takeoverEvents   = 2_000
	takeoverInFlight = 200
	takeoverLimit    = 5 * time.Second
)

// book notes what was handled.
type book struct {
	mu         sync.Mutex
	newest     map[string]int // by key
	seen       map[string]bool
	duplicates int
	inversions []string
}

func (b *book) note(key, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[id] {
		b.duplicates++
		return
	}
	b.seen[id] = true
	var n int
	if _, err := fmt.Sscan(id, &n); err != nil || n < b.newest[key] {
		b.inversions = append(b.inversions, id)
	}
	b.newest[key] = n
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

// testTakeover: when the process whose consumer is the active one is killed (SIGKILL), the one that
// stands by handles events within 5 s, each key in order, and no event is lost.
func testTakeover(t *testing.T, n *brokertest.RabbitMQNode) {
	times := 1
	if brokertest.Long() {
		times = 20
	}
	for range times {
		takeOver(t, n)
	}
}

func takeOver(t *testing.T, n *brokertest.RabbitMQNode) {
	t.Helper()
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, takeoverEvents, 20)...)
	notes := &book{newest: map[string]int{}, seen: map[string]bool{}}
	kill := startConsumer(t, processConfig{Addr: n.Addr(), Topic: sub.Topic, Group: sub.Group}, notes.note)
	liveEventually(t, "the process consumes", func() bool { return notes.count() > 0 })
	s := liveSubscribe(t, b, sub)
	before := notes.count()
	liveEventually(t, "it goes on while another one stands by", func() bool { return notes.count() >= before+100 })
	killed := time.Now()
	kill()
	handled := notes.count()
	require.Less(t, handled, takeoverEvents, "it was killed too late")
	var taken time.Duration
	for notes.count() < takeoverEvents {
		d := liveHold(t, s, 1)[0]
		if taken == 0 {
			taken = time.Since(killed)
		}
		notes.note(d.Event.Key(), d.Event.ID())
		s.Settle(&d, leat.Settlement{Action: leat.Ack})
	}
	assert.Less(t, taken, takeoverLimit)
	assert.Empty(t, notes.inversions, "keys out of order")
	assert.LessOrEqual(t, notes.duplicates, takeoverInFlight)
	t.Logf("taken over after %v, with %d events handled before and %d twice", taken, handled, notes.duplicates)
}

// startConsumer starts TestConsumerProcess, and returns what kills it and waits until all that it
// wrote is noted.
func startConsumer(t *testing.T, c processConfig, note func(key, id string)) (kill func()) {
	t.Helper()
	text, err := json.Marshal(c)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestConsumerProcess$", "-test.timeout=10m") //nolint:noctx // it is killed
	cmd.Env = append(os.Environ(), processVariable+"="+string(text))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var key, id string
			if n, _ := fmt.Sscanf(lines.Text(), "handled %s %s", &key, &id); n == 2 {
				note(key, id)
			}
		}
	}()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return kill
}
