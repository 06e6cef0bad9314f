package brokertest_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestRabbitMQIsInjuredAndKeepsItsData(t *testing.T) {
	t.Parallel()
	node := brokertest.StartRabbitMQ(t, nil)
	declareQueue(t, node, "kept", "quorum")
	publishTo(t, node, "kept")
	require.NoError(t, node.Sync(t.Context()))

	node.Kill()
	require.False(t, node.Running())
	_, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", node.Addr())
	require.Error(t, err, "a killed broker answers")
	require.NoError(t, node.Start(t.Context()))
	ready(t, node, "kept", 1, "what was confirmed is kept over a kill")
	require.Error(t, node.Start(t.Context()), "it runs already")

	require.NoError(t, node.Pause())
	require.True(t, node.Running(), "a paused process exists")
	require.ErrorIs(t, answers(t, node, 100*time.Millisecond), os.ErrDeadlineExceeded, "a paused broker answers")
	require.NoError(t, node.Resume())
	require.NoError(t, answers(t, node, 10*time.Second))

	require.NoError(t, node.Pause())
	require.NoError(t, node.Stop(), "a paused broker can be stopped")
	require.Error(t, node.Pause(), "it does not run")
	require.NoError(t, node.Restart(t.Context()), "what does not run can be restarted")
	ready(t, node, "kept", 1, "it is kept over a stop")
}

func TestRabbitMQThatEndsIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	requireRabbitMQ(t)
	begin := time.Now()
	_, err := brokertest.RunRabbitMQ(t.Context(), &brokertest.RabbitMQOptions{Config: map[string]string{"no.such.setting": "x"}})
	require.ErrorContains(t, err, "ended before it could be used (exit status 1)")
	require.ErrorContains(t, err, "no.such.setting", "the error has the end of the log")
	require.Less(t, time.Since(begin), 20*time.Second, "nothing waits for a process that has ended")
}

func TestRabbitMQTLS(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	node := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Certs: certs})
	require.NoError(t, node.AddUser(t.Context(), "client", ""))
	require.NoError(t, node.SetPermissions(t.Context(), "client", "/", "", "", ""))
	dial := func(config *tls.Config) (net.Conn, error) {
		return (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", node.TLSAddr())
	}
	conn, err := dial(certs.TLS())
	require.NoError(t, err)
	_, m, err := amqpLogin(t, conn, "PLAIN", "\x00guest\x00guest", "/", "")
	require.NoError(t, err)
	require.EqualValues(t, connectionOpenOK, m.number)
	all, err := node.Connections(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].TLS)

	conn, err = dial(certs.MutualTLS())
	require.NoError(t, err)
	_, m, err = amqpLogin(t, conn, "EXTERNAL", "", "/", "")
	require.NoError(t, err)
	require.EqualValues(t, connectionOpenOK, m.number, "the name in the certificate is the user's: %s", m.body)

	conn, err = dial(certs.TLS())
	require.NoError(t, err)
	_, m, err = amqpLogin(t, conn, "EXTERNAL", "", "/", "")
	require.NoError(t, err)
	require.Equal(t, accessRefused, m.code(), "no certificate, no name")

	_, err = dial(brokertest.NewCerts(t).TLS())
	require.Error(t, err, "certificates of another call are not trusted")
}

func TestRabbitMQClientCert(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	node := brokertest.StartRabbitMQ(t, &brokertest.RabbitMQOptions{Certs: certs, ClientCert: true})
	for _, c := range []struct {
		config *tls.Config
		taken  bool
	}{{certs.MutualTLS(), true}, {certs.TLS(), false}} {
		conn, err := (&tls.Dialer{Config: c.config}).DialContext(t.Context(), "tcp", node.TLSAddr())
		if err == nil {
			_, _, err = amqpLogin(t, conn, "PLAIN", "\x00guest\x00guest", "/", "") // TLS 1.3 tells a refusal with the first answer
		}
		require.Equal(t, c.taken, err == nil, "%v", err)
	}
}

func TestRabbitMQIsShared(t *testing.T) {
	t.Parallel()
	first := brokertest.RabbitMQ(t)
	require.Equal(t, first, brokertest.RabbitMQ(t))
	u, err := url.Parse(first)
	require.NoError(t, err)
	require.Equal(t, "amqp", u.Scheme)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, brokertest.RabbitMQManagement(t)+"/api/overview", http.NoBody)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestKeptRabbitMQIsFoundAgain(t *testing.T) {
	t.Parallel()
	requireRabbitMQ(t)
	dir := filepath.Join(t.TempDir(), "kept")
	_, err := brokertest.OpenRabbitMQ(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	first, err := brokertest.KeepRabbitMQ(t.Context(), dir, nil)
	require.NoError(t, err)
	defer first.Kill()
	require.NoError(t, first.Start(t.Context()))

	second, err := brokertest.OpenRabbitMQ(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, first.URL(), second.URL())
	require.Equal(t, first.PID(), second.PID())
	require.NoError(t, answers(t, second, 10*time.Second))
	second.Kill()
	require.Eventually(t, func() bool { return len(processesOf(t, dir)) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// requireRabbitMQ ends a test of a function that needs a real RabbitMQ but does not skip by itself.
func requireRabbitMQ(t *testing.T) {
	t.Helper()
	requireBroker(t, brokertest.RabbitMQVariable, brokertest.GetRabbitMQ)
}

// answers returns nil when the node lets its administrator log in within a time.
func answers(t *testing.T, node *brokertest.RabbitMQNode, limit time.Duration) error {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", node.Addr())
	require.NoError(t, err)
	defer closing(t, conn)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(limit)))
	_, err = conn.Write([]byte("AMQP\x00\x00\x09\x01"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	return err
}

func declareQueue(t *testing.T, node *brokertest.RabbitMQNode, name, kind string) {
	t.Helper()
	require.NoError(t, node.Manage(t.Context(), http.MethodPut, "/api/queues/%2F/"+name,
		map[string]any{"durable": true, "arguments": map[string]any{"x-queue-type": kind, "x-max-length-bytes": 7000}}, nil))
}

// publishTo puts a persistent message into a queue.
func publishTo(t *testing.T, node *brokertest.RabbitMQNode, queue string) {
	t.Helper()
	var answer struct{ Routed bool }
	require.NoError(t, node.Manage(t.Context(), http.MethodPost, "/api/exchanges/%2F/amq.default/publish", map[string]any{
		"properties": map[string]any{"delivery_mode": 2}, "routing_key": queue, "payload": "x", "payload_encoding": "string",
	}, &answer))
	require.True(t, answer.Routed)
}

// ready waits until a queue has n messages. A quorum queue elects its leader first.
func ready(t *testing.T, node *brokertest.RabbitMQNode, queue string, n int, rule string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		q, err := node.Queue(t.Context(), "/", queue)
		assert.NoError(c, err)
		assert.Empty(c, q.Down)
		assert.Equal(c, n, q.Ready)
	}, 20*time.Second, 20*time.Millisecond, rule)
}
