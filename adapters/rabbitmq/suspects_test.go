package rabbitmq_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// suspectVariable has the configuration of the process that TestSuspectProcess is.
const suspectVariable = "LEAT_TEST_SUSPECTS"

const (
	suspectCrash  = "17" // the id of the event that ends the process, and how
	suspectExit   = 7
	suspectEvents = 50
)

var errHeld = errors.New("it was held")

type suspectConfig struct {
	Addr  string `json:"addr"`
	Topic string `json:"topic"`
	Group string `json:"group"`
	Holds bool   `json:"holds"` // handlers fail when their contexts or the process end, and no event ends the process
}

// TestSuspectProcess is no test but the program of a consumer that TestSuspects starts. It writes a
// line for each handling.
func TestSuspectProcess(t *testing.T) {
	text := os.Getenv(suspectVariable)
	if text == "" {
		t.Skip("it is run by TestSuspects")
	}
	var c suspectConfig
	require.NoError(t, json.Unmarshal([]byte(text), &c))
	asked, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	b := liveBroker(t, rabbitmq.Options{Hosts: []string{c.Addr}})
	handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
		_, _ = fmt.Fprintf(os.Stdout, "started %s\n", e.ID())
		switch {
		case c.Holds:
			select {
			case <-ctx.Done():
			case <-asked.Done(): // so that the drain has time left to be clean
			}
			return errHeld
		case e.ID() == suspectCrash:
			os.Exit(suspectExit)
		}
		_, _ = fmt.Fprintf(os.Stdout, "handled %s\n", e.ID())
		return nil
	})
	o := &leat.ConsumerOptions{
		MaxDeliveries: 3, ShutdownTimeout: 10 * time.Second, PoisonQueue: middleware.PoisonQueue(leat.NewProducer(b, nil), nil),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	require.NoError(t, leat.Run(asked, leat.NewConsumer(b, leat.Subscription{Topic: c.Topic, Group: c.Group}, handler, o)))
}

// suspectProcess is one process of the group.
type suspectProcess struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it has ended and all its lines are noted

	mu      sync.Mutex
	started int
	handled map[string]int
	log     strings.Builder
}

func startSuspects(t *testing.T, c suspectConfig, handled map[string]int) *suspectProcess {
	t.Helper()
	text, err := json.Marshal(c)
	require.NoError(t, err)
	p := &suspectProcess{over: make(chan struct{}), handled: handled}
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestSuspectProcess$", "-test.timeout=10m") //nolint:noctx // it is ended
	p.cmd.Env = append(os.Environ(), suspectVariable+"="+string(text))
	p.cmd.Stderr = &lockedLog{p}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.over)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.note(lines.Text())
		}
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.over
		if t.Failed() {
			t.Log(p.text())
		}
	})
	return p
}

type lockedLog struct{ p *suspectProcess }

func (l *lockedLog) Write(b []byte) (int, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.p.log.Write(b)
}

func (p *suspectProcess) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *suspectProcess) note(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var id string
	if n, _ := fmt.Sscanf(line, "started %s", &id); n == 1 {
		p.started++
	} else if n, _ := fmt.Sscanf(line, "handled %s", &id); n == 1 {
		p.handled[id]++
	}
}

// runs waits until a handler has started that was not there before.
func (p *suspectProcess) runs(t *testing.T, before int) int {
	t.Helper()
	now := 0
	liveEventually(t, "a handler starts", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		now = p.started
		return now > before
	})
	return now
}

// stop ends the process by SIGTERM, cleanly.
func (p *suspectProcess) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t)
	require.True(t, p.cmd.ProcessState.Success(), "it ended with %v", p.cmd.ProcessState)
}

func (p *suspectProcess) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.over:
	case <-time.After(time.Minute):
		require.Fail(t, "the process does not end")
	}
}

// TestSuspects: of 50 events that restarts of the consumer, lost connections and kills of the
// broker give back again and again, while a handler has each, only the one that really ends its
// process is poisoned. All others are handled.
func TestSuspects(t *testing.T) {
	t.Parallel()
	restarts, losses, kills := 5, 5, 2
	if brokertest.Long() {
		restarts, losses, kills = 20, 20, 20
	}
	n := brokertest.StartRabbitMQ(t, nil)
	b := liveBroker(t, liveOptions(n))
	sub := liveSub(t)
	poison := leat.Subscription{Topic: leat.PoisonTopic(sub.Topic, sub.Group), Group: leat.ReplayGroup}
	require.NoError(t, leat.Declare(t.Context(), b, sub, poison))
	livePublish(t, b, sub.Topic, liveEvents(t, 0, suspectEvents, 10)...)
	handled := map[string]int{}
	c := suspectConfig{Addr: n.Addr(), Topic: sub.Topic, Group: sub.Group, Holds: true}

	for range restarts {
		p := startSuspects(t, c, handled)
		p.runs(t, 0)
		p.stop(t)
	}
	p := startSuspects(t, c, handled)
	seen := p.runs(t, 0)
	for range losses {
		_, err := n.CloseConnections(t.Context(), nil)
		require.NoError(t, err)
		seen = p.runs(t, seen)
	}
	for range kills {
		n.Kill()
		require.NoError(t, n.Start(t.Context()))
		seen = p.runs(t, seen)
	}
	p.stop(t)
	require.Empty(t, handled)

	c.Holds = false
	crashes := 0
	s := liveSubscribe(t, b, poison)
	var poisoned []leat.Delivery
	for len(poisoned) == 0 {
		p := startSuspects(t, c, handled)
		got := make(chan []leat.Delivery, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			into := make([]leat.Delivery, 1)
			k, _ := s.Receive(ctx, into)
			got <- into[:k]
		}()
		select {
		case <-p.over:
			require.Equal(t, suspectExit, p.cmd.ProcessState.ExitCode(), "the process ended by itself: %s", p.text())
			crashes++
			require.LessOrEqual(t, crashes, 10, "it is not poisoned")
			cancel()
			poisoned = <-got
		case poisoned = <-got:
			liveEventually(t, "all others are handled", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return len(handled) == suspectEvents-1
			})
			p.stop(t)
		}
		cancel()
	}
	assert.Equal(t, suspectCrash, poisoned[0].Event.ID())
	assert.Equal(t, 2, crashes, "runs as a suspect")
	found, err := leat.PoisonedFrom(poisoned[0].Event)
	require.NoError(t, err)
	assert.ErrorContains(t, found.Reason, "2 runs of it alone ended with the process")
	liveNothing(t, s, 200*time.Millisecond)
	assert.Len(t, handled, suspectEvents-1)
	liveEventually(t, "the queue is empty", func() bool {
		q, err := n.Queue(t.Context(), "/", sub.Topic+"."+sub.Group)
		return err == nil && q.Ready+q.Unacked == 0
	})
}
