package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/poison"
)

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv("SERVICE_ARGS"); ok { // tests that kill the program run it like this
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := run(ctx, strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:gocritic // as main does
		}
		os.Exit(0)
	}
	brokertest.MainChecked(m, func() error { return goleak.Find() })
}

func TestDemo(t *testing.T) {
	require.NoError(t, run(t.Context(), nil))
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"sell"}, {"poison"}, {"poison", "eat", "billing"}, {"poison", "ls", "checkout"}} {
		require.ErrorContains(t, run(t.Context(), args), "usage:", args)
	}
}

// outage is a broker that can be down.
type outage interface {
	Kill()
	Start(ctx context.Context) error
}

func TestTrialOnKafka(t *testing.T) {
	t.Parallel()
	cluster := brokertest.StartKafka(t, nil)
	url := "kafka://" + strings.Join(cluster.Addrs(), ",") + "?partitions=6&session_timeout=6s&heartbeat_interval=500ms&instance_id="
	trial(t, cluster, func(service string) string { return url + service })
}

func TestTrialOnRabbitMQ(t *testing.T) {
	t.Parallel()
	node := brokertest.StartRabbitMQ(t, nil)
	trial(t, node, func(string) string { return node.URL() })
}

// trial places orders while each process is killed once, and then the broker is down. Every order
// has to be charged and shipped once, and nothing may be in a poison queue.
func trial(t *testing.T, broker outage, url func(service string) string) {
	orders, down := 300, 5*time.Second
	if os.Getenv("LEAT_LONG") != "" {
		orders, down = 2_000, 40*time.Second
	}
	s := &shop{dir: t.TempDir(), url: url, addresses: map[string]string{}, processes: map[string]*exec.Cmd{}}
	t.Cleanup(func() { s.stop(t) })
	services := []string{"shipping", "billing", "checkout"}
	for _, service := range services {
		s.addresses[service] = brokertest.Vacant(t)
		s.start(t, service)
	}

	var taken atomic.Int64
	progress := func(part float64) {
		t.Helper()
		require.Eventually(t, func() bool { return float64(taken.Load()) >= part*float64(orders) }, 2*time.Minute, 5*time.Millisecond,
			"the customers do not get on")
	}
	var customers sync.WaitGroup
	for customer := range 8 {
		customers.Go(func() {
			for i := customer; i < orders; i += 8 {
				body := fmt.Sprintf(`{"id": "A-%d", "cents": %d}`, i, 100+i)
				if until(t.Context(), func() (bool, error) { return place(t.Context(), s.addresses["checkout"], body), nil }) != nil {
					return
				}
				taken.Add(1)
			}
		})
	}
	for i, service := range services {
		progress(0.2 * float64(i+1))
		s.kill(service)
		s.start(t, service)
	}
	progress(0.8)
	broker.Kill()
	time.Sleep(down) // the length of the outage is what is tried
	require.NoError(t, broker.Start(t.Context()))
	customers.Wait()
	end := time.Now()
	for service, table := range map[string]string{"billing": "charges", "shipping": "shipments"} {
		db, err := openStore(t.Context(), s.database(service))
		require.NoError(t, err)
		defer func() { assert.NoError(t, db.Close()) }()
		assert.Eventually(t, func() bool {
			n, err := db.count(t.Context(), table)
			return err == nil && n == orders
		}, 2*time.Minute, 20*time.Millisecond, table)
	}
	t.Logf("%d orders are charged and shipped %v after the last one was taken", orders, time.Since(end).Round(time.Millisecond))
	a, err := brokers.Open(t.Context(), url("look"))
	require.NoError(t, err)
	defer func() { assert.NoError(t, a.Close()) }()
	for service, sub := range subscriptions {
		for e, err := range poison.Peek(t.Context(), a, sub, nil) {
			t.Errorf("in the poison queue of %s: %v %v", service, e.Reason, err)
		}
	}
	if t.Failed() {
		t.Log(s.log.String())
	}
}

// shop is the services in processes of their own.
type shop struct {
	dir       string
	url       func(service string) string
	addresses map[string]string
	processes map[string]*exec.Cmd
	log       logBuffer
}

func (s *shop) database(service string) string { return filepath.Join(s.dir, service+".db") }

func (s *shop) start(t *testing.T, service string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), "SERVICE_ARGS="+service, "BROKER_URL="+s.url(service), "HTTP_ADDR="+s.addresses[service],
		"DATABASE="+s.database(service))
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	require.NoError(t, cmd.Start())
	s.processes[service] = cmd
}

func (s *shop) kill(service string) {
	_ = s.processes[service].Process.Kill()
	_ = s.processes[service].Wait()
}

// stop ends the services as an operator does.
func (s *shop) stop(t *testing.T) {
	for _, cmd := range s.processes {
		_ = cmd.Process.Signal(syscall.SIGINT)
	}
	for service, cmd := range s.processes {
		assert.NoError(t, cmd.Wait(), "%s does not end in order: %s", service, s.log.String())
	}
}

// logBuffer is what the services log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
