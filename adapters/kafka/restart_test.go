package kafka_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// handling is one successful handling of an event.
type handling struct {
	id  string // key and sequence number
	at  int64  // of its end, in nanoseconds, by the machine's clock
	who int    // which consumer
}

// ledger has the handlings of all consumers of a test.
type ledger struct {
	mu   sync.Mutex
	all  []handling
	seen map[string]bool
}

func (l *ledger) note(h handling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	l.all = append(l.all, h)
	l.seen[h.id] = true
}

func (l *ledger) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// has reports whether an event was handled.
func (l *ledger) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[id]
}

// since counts what a consumer has finished from a time on.
func (l *ledger) since(who int, at time.Time) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.all {
		if h.who == who && h.at >= at.UnixNano() {
			n++
		}
	}
	return n
}

// verdict counts, for what was published, the lost events, the duplicates, and the keys' first
// handlings that came before an earlier one's.
func (l *ledger) verdict(published int) (lost, duplicates, inversions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.all, func(a, b handling) int { return int(a.at - b.at) })
	next, first := map[string]int{}, map[string]bool{}
	for _, h := range l.all {
		if first[h.id] {
			duplicates++
			continue
		}
		first[h.id] = true
		key, number, _ := strings.Cut(h.id, ":")
		n, _ := strconv.Atoi(number)
		if n != next[key] {
			inversions++
		}
		next[key] = max(next[key], n+1)
	}
	return published - len(first), duplicates, inversions
}

// traffic publishes events of some keys, in order, until it is stopped.
type traffic struct {
	stop func()
	done chan int // gets how many were published
}

func startTraffic(t *testing.T, b *kafka.Broker, topic string) *traffic {
	t.Helper()
	const keys = 20
	ctx, cancel := context.WithCancel(t.Context())
	l := &traffic{stop: cancel, done: make(chan int, 1)}
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			var events []leat.Event
			for k := range keys {
				e, err := leat.NewEvent("load", &leat.EventOptions{ID: fmt.Sprintf("k%d:%d", k, n), Source: "/load", Key: fmt.Sprint("k", k)})
				if !assert.NoError(t, err) {
					break
				}
				events = append(events, e)
			}
			if !assert.NoError(t, livePublish(context.Background(), b, topic, events...)) {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		l.done <- n * keys
	}()
	return l
}

// finish stops the load, waits until everything was handled, and returns how much it was.
func (l *traffic) finish(t *testing.T, book *ledger) int {
	t.Helper()
	l.stop()
	published := <-l.done
	assert.Eventually(t, func() bool { return book.distinct() >= published }, livePatience, 20*time.Millisecond, "not everything was handled")
	return published
}

// member is a consumer in this process that can be stopped in order.
type member struct {
	stop context.CancelFunc
	done chan error
}

func startMember(t *testing.T, o kafka.Options, sub leat.Subscription, who int, note func(handling)) *member {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	m := &member{stop, make(chan error, 1)}
	b, err := kafka.New(&o)
	require.NoError(t, err)
	consumer := leat.NewConsumer(b, sub, leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		note(handling{e.ID(), time.Now().UnixNano(), who})
		return nil
	}), &leat.ConsumerOptions{Concurrency: 8, MaxInFlight: restartInFlight})
	go func() {
		err := leat.Run(ctx, consumer)
		_ = b.Close()
		m.done <- err
	}()
	return m
}

const restartInFlight = 100

func (m *member) close(t *testing.T) {
	t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		require.NoError(t, err)
	case <-time.After(livePatience):
		require.Fail(t, "a consumer does not stop")
	}
}

// times returns how often to do what makes a test long.
func times(few, many int) int {
	if long() {
		return many
	}
	return few
}

// TestRollingRestarts stops the members of a group in order, one by one, under load, and starts
// them again.
func TestRollingRestarts(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]kafka.Protocol{"classic": kafka.ProtocolClassic, "consumer": kafka.ProtocolConsumer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := brokertest.Kafka(t)
			o := liveOptions(addrs...)
			o.Protocol = protocol
			sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 6), Group: liveName(t)}
			var book ledger
			members := make([]*member, 3)
			for i := range members {
				members[i] = startMember(t, o, sub, i, book.note)
			}
			defer func() {
				for _, m := range members {
					m.stop()
				}
			}()
			l := startTraffic(t, liveBroker(t, o), sub.Topic)
			more := func(n int) {
				goal := book.distinct() + n
				require.Eventually(t, func() bool { return book.distinct() >= goal }, livePatience, 10*time.Millisecond)
			}
			more(100)
			for i := range times(3, 20) {
				members[i%3].close(t)
				more(40)
				members[i%3] = startMember(t, o, sub, i%3, book.note)
				more(80)
			}
			published := l.finish(t, &book)
			for _, m := range members {
				m.close(t)
			}
			lost, duplicates, inversions := book.verdict(published)
			assert.Zero(t, lost, "lost of %d", published)
			assert.Zero(t, duplicates, "handled twice of %d", published)
			assert.Zero(t, inversions, "keys out of order")
		})
	}
}

// processVariable has, for a process that is only a consumer, what it consumes.
const processVariable = "LEAT_KAFKA_CONSUMER"

type processConfig struct {
	Addrs []string `json:"addrs"`
	Topic string   `json:"topic"`
	Group string   `json:"group"`
	Who   int      `json:"who"`
	// What follows is left out for the defaults of the tests.
	Session  time.Duration  `json:"session"`
	Protocol kafka.Protocol `json:"protocol"`
	Instance string         `json:"instance"`
}

func (c *processConfig) options() kafka.Options {
	o := processOptions(c.Addrs)
	if c.Session > 0 {
		o.SessionTimeout = c.Session
	}
	o.Protocol, o.InstanceID = c.Protocol, c.Instance
	return o
}

func processOptions(addrs []string) kafka.Options {
	o := liveOptions(addrs...)
	o.SessionTimeout, o.CommitInterval = 2*time.Second, 100*time.Millisecond
	return o
}

// TestConsumerProcess is no test but the program of a consumer that TestKilledConsumers kills. It
// writes a line for each handling.
func TestConsumerProcess(t *testing.T) {
	if os.Getenv(processVariable) == "" {
		t.Skip("it is run by TestKilledConsumers")
	}
	c := processConfigOf(t, processVariable)
	m := startMember(t, c.options(), leat.Subscription{Topic: c.Topic, Group: c.Group}, c.Who, func(h handling) {
		_, _ = fmt.Fprintf(os.Stdout, "handled %s %d\n", h.id, h.at) // one write, which a kill does not cut
	})
	require.NoError(t, <-m.done)
}

func processConfigOf(t *testing.T, variable string) (c processConfig) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(os.Getenv(variable)), &c))
	return c
}

// process is a consumer in a process of its own.
type process struct {
	cmd  *exec.Cmd
	read chan struct{} // closed when all that it wrote was read
}

func startProcess(t *testing.T, c processConfig, book *ledger) *process {
	t.Helper()
	return startProcessOf(t, "TestConsumerProcess", processVariable, c, book)
}

// startProcessOf starts the program that is in a test.
func startProcessOf(t *testing.T, test, variable string, c processConfig, book *ledger) *process {
	t.Helper()
	text, err := json.Marshal(c)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.timeout=10m") //nolint:noctx // it is killed
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			h := handling{who: c.Who}
			if n, _ := fmt.Sscanf(lines.Text(), "handled %s %d", &h.id, &h.at); n == 2 {
				book.note(h)
			}
		}
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.read
	_ = p.cmd.Wait()
}

// TestKilledConsumers kills the processes of a group's members under load, one by one, and starts
// others.
func TestKilledConsumers(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	c := processConfig{Addrs: addrs, Topic: liveTopic(t, liveAdmin(t, addrs...), 6), Group: liveName(t)}
	var book ledger
	var members [2]*process
	start := func(i int) {
		c.Who++
		members[i] = startProcess(t, c, &book)
	}
	who := []int{1, 2}
	start(0)
	start(1)
	l := startTraffic(t, liveBroker(t, processOptions(addrs)), c.Topic)
	more := func(n int) {
		goal := book.distinct() + n
		require.Eventually(t, func() bool { return book.distinct() >= goal }, livePatience, 10*time.Millisecond)
	}
	more(100)
	allowed := 0
	for i := range times(2, 20) {
		at := time.Now()
		members[i%2].kill()
		// What was finished since the last commit: the interval is 100 ms, and on a busy machine
		// the commit itself takes its time.
		allowed += restartInFlight + book.since(who[i%2], at.Add(-2*time.Second))
		start(i % 2)
		who[i%2] = c.Who
		more(150)
	}
	published := l.finish(t, &book)
	for _, m := range members {
		m.kill()
	}
	lost, duplicates, inversions := book.verdict(published)
	assert.Zero(t, lost, "lost of %d", published)
	assert.LessOrEqual(t, duplicates, allowed, "handled twice of %d", published)
	assert.Zero(t, inversions, "keys out of order")
	t.Logf("%d events, %d handled twice, %d allowed", published, duplicates, allowed)
}
