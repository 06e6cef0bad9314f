package brokertest_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) {
	if broker := os.Getenv(victimVariable); broker != "" {
		victim(broker)
		return
	}
	brokertest.Main(m)
}

func TestKafkaIsInjuredAndKeepsItsData(t *testing.T) {
	t.Parallel()
	kafka := brokertest.StartKafka(t, nil)
	require.Len(t, kafka.Addrs(), 1)
	node, addr := kafka.Node(1), kafka.Addrs()[0]
	require.Zero(t, createTopic(t, addr, "kept"), "the topic can be made")

	node.Kill()
	require.False(t, node.Running())
	_, err := brokertest.KafkaBrokers(t.Context(), addr)
	require.Error(t, err, "a killed broker answers")
	require.NoError(t, node.Restart(t.Context()), "what does not run can be restarted")
	require.EqualValues(t, topicExists, createTopic(t, addr, "kept"), "the data is kept over a kill")
	require.Error(t, node.Start(t.Context()), "it runs already")

	require.NoError(t, node.Pause())
	require.True(t, node.Running(), "a paused process exists")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = brokertest.KafkaBrokers(short, addr)
	require.ErrorIs(t, err, context.DeadlineExceeded, "a paused broker answers")
	require.NoError(t, node.Resume())
	_, err = brokertest.KafkaBrokers(t.Context(), addr)
	require.NoError(t, err)

	require.NoError(t, node.Pause())
	require.NoError(t, node.Stop(), "a paused broker can be stopped")
	require.Error(t, node.Pause(), "it does not run")
}

func TestKafkaCluster(t *testing.T) {
	t.Parallel()
	kafka := brokertest.StartKafka(t, &brokertest.KafkaOptions{Nodes: 3})
	brokers := func(addr string) int {
		n, err := brokertest.KafkaBrokers(t.Context(), addr)
		if err != nil {
			t.Log(err) // on a busy machine an answer may be late
		}
		return n
	}
	for _, addr := range kafka.Addrs() {
		require.Equal(t, 3, brokers(addr), "each node knows of all when the cluster has started")
	}
	kafka.Node(2).Kill()
	require.Eventually(t, func() bool { return brokers(kafka.Addrs()[0]) == 2 }, 10*time.Second, 20*time.Millisecond)
	require.NoError(t, kafka.Start(t.Context()), "the missing node is started")
	require.Equal(t, 3, brokers(kafka.Addrs()[0]))
}

func TestKafkaListeners(t *testing.T) {
	t.Parallel()
	certs := brokertest.NewCerts(t)
	kafka := brokertest.StartKafka(t, &brokertest.KafkaOptions{
		Listeners: []brokertest.KafkaListener{
			{Name: "TLS", Protocol: "SSL"},
			{Name: "MUTUAL", Protocol: "SSL", ClientCert: true},
			{Name: "LOGIN", Protocol: "SASL_SSL"},
		},
		Users: map[string]string{"ann": "secret"}, Certs: certs, Authorize: true,
	})
	answers := func(listener string, config *tls.Config) error {
		conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", kafka.ListenerAddrs(listener)[0])
		if err != nil {
			return err
		}
		defer closing(t, conn)
		_, err = brokertest.KafkaExchange(conn, apiMetadata, 1, make([]byte, 4))
		return err
	}
	require.NoError(t, answers("TLS", certs.TLS()))
	require.Error(t, answers("TLS", brokertest.NewCerts(t).TLS()), "certificates of another call are not trusted")
	require.NoError(t, answers("MUTUAL", certs.MutualTLS()))
	require.Error(t, answers("MUTUAL", certs.TLS()), "the listener asks for a certificate")
	require.Error(t, answers("LOGIN", certs.TLS()), "the listener asks for a login")
	require.Empty(t, kafka.ListenerAddrs("OTHER"))

	for password, want := range map[string]uint16{"secret": 0, "wrong": saslFailed} {
		conn, err := (&tls.Dialer{Config: certs.TLS()}).DialContext(t.Context(), "tcp", kafka.ListenerAddrs("LOGIN")[0])
		require.NoError(t, err)
		defer closing(t, conn)
		require.Equal(t, want, login(t, conn, "ann", password))
		if want == 0 {
			require.EqualValues(t, notAuthorized, createTopicOver(t, conn, "forbidden"), "ann has no rights")
		}
	}
	require.Zero(t, createTopic(t, kafka.Addrs()[0], "allowed"), "the plain listener's clients may do everything")
}

func TestKafkaThatEndsIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	requireKafka(t)
	begin := time.Now()
	_, err := brokertest.RunKafka(t.Context(), &brokertest.KafkaOptions{Properties: map[string]string{"num.io.threads": "few"}})
	require.ErrorContains(t, err, "ended before it could be used (exit status 1)")
	require.ErrorContains(t, err, "few", "the error has the end of the log")
	require.Less(t, time.Since(begin), 20*time.Second, "nothing waits for a process that has ended")
}

func TestKeptKafkaIsFoundAgain(t *testing.T) {
	t.Parallel()
	requireKafka(t)
	dir := filepath.Join(t.TempDir(), "kept")
	_, err := brokertest.OpenKafka(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	first, err := brokertest.KeepKafka(t.Context(), dir, nil)
	require.NoError(t, err)
	defer first.Kill()
	require.NoError(t, first.Start(t.Context()))

	second, err := brokertest.OpenKafka(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, first.Addrs(), second.Addrs())
	require.Equal(t, first.Node(1).PID(), second.Node(1).PID())
	second.Kill()
	require.Eventually(t, func() bool { return !first.Node(1).Running() }, 5*time.Second, 10*time.Millisecond)
}

const (
	apiMetadata         = 3
	apiSaslHandshake    = 17
	apiCreateTopics     = 19
	apiSaslAuthenticate = 36

	topicExists   = 36
	notAuthorized = 29
	saslFailed    = 58
)

func closing(t *testing.T, conn net.Conn) {
	t.Helper()
	assert.NoError(t, conn.Close())
}

// createTopic makes a topic of one partition and returns the broker's error code.
func createTopic(t *testing.T, addr, name string) uint16 {
	t.Helper()
	response, err := brokertest.KafkaCall(t.Context(), addr, apiCreateTopics, 2, createTopicBody(name))
	require.NoError(t, err)
	return createTopicCode(t, response, name)
}

func createTopicOver(t *testing.T, conn net.Conn, name string) uint16 {
	t.Helper()
	response, err := brokertest.KafkaExchange(conn, apiCreateTopics, 2, createTopicBody(name))
	require.NoError(t, err)
	return createTopicCode(t, response, name)
}

func createTopicBody(name string) []byte {
	body := text(binary.BigEndian.AppendUint32(nil, 1), name)
	body = binary.BigEndian.AppendUint32(body, 1)    // partitions
	body = binary.BigEndian.AppendUint16(body, 1)    // replicas
	body = append(body, make([]byte, 8)...)          // no assignment, no configuration
	body = binary.BigEndian.AppendUint32(body, 5000) // milliseconds
	return append(body, 0)                           // not only to validate
}

func createTopicCode(t *testing.T, response []byte, name string) uint16 {
	t.Helper()
	at := 4 + 4 + 2 + len(name) // throttle time, count, name
	require.GreaterOrEqual(t, len(response), at+2)
	return binary.BigEndian.Uint16(response[at:])
}

// login logs in with PLAIN and returns the broker's error code.
func login(t *testing.T, conn net.Conn, user, password string) uint16 {
	t.Helper()
	_, err := brokertest.KafkaExchange(conn, apiSaslHandshake, 1, text(nil, "PLAIN"))
	require.NoError(t, err)
	token := "\x00" + user + "\x00" + password
	body := append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...)
	response, err := brokertest.KafkaExchange(conn, apiSaslAuthenticate, 0, body)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(response), 2)
	return binary.BigEndian.Uint16(response)
}

// text appends a string in Kafka's form.
func text(to []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(to, uint16(len(s))), s...)
}
