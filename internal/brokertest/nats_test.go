package brokertest_test

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

// natsAsk sends a request to a server and returns the first line of its answer's payload, or "".
func natsAsk(t *testing.T, addr, subject, payload string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return ""
	}
	defer conn.Close() //nolint:errcheck // it is done with
	require.NoError(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = conn.Write([]byte("CONNECT {\"verbose\":false}\r\nSUB answer 1\r\nPUB " + subject + " answer " +
		strconv.Itoa(len(payload)) + "\r\n" + payload + "\r\n"))
	require.NoError(t, err)
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "MSG answer") && lines.Scan() {
			return lines.Text()
		}
	}
	return ""
}

// TestNATSKeepsItsDataAndIsInjured does to a server what a test can do to it.
func TestNATSKeepsItsDataAndIsInjured(t *testing.T) {
	t.Parallel()
	c := brokertest.StartNATS(t, nil)
	made := natsAsk(t, c.Addr(), "$JS.API.STREAM.CREATE.orders", `{"name":"orders","subjects":["orders"]}`)
	require.Contains(t, made, `"name":"orders"`)
	require.Contains(t, natsAsk(t, c.Addr(), "orders", "one"), `"seq":1`)
	c.Kill()
	require.Empty(t, natsAsk(t, c.Addr(), "$JS.API.INFO", ""))
	require.NoError(t, c.Start(t.Context()))
	require.Contains(t, natsAsk(t, c.Addr(), "$JS.API.STREAM.INFO.orders", ""), `"messages":1`)
	require.NoError(t, c.Pause())
	require.NoError(t, c.Resume())
	require.NoError(t, c.Restart(t.Context()))
	require.Contains(t, natsAsk(t, c.Addr(), "orders", "two"), `"seq":2`)
}

// TestNATSClusterReplicates loses one node of three.
func TestNATSClusterReplicates(t *testing.T) {
	t.Parallel()
	c := brokertest.StartNATS(t, &brokertest.NATSOptions{Nodes: 3})
	require.Len(t, c.Addrs(), 3)
	made := natsAsk(t, c.Addr(), "$JS.API.STREAM.CREATE.orders", `{"name":"orders","subjects":["orders"],"num_replicas":3}`)
	require.Contains(t, made, `"num_replicas":3`)
	stores := func() bool { return strings.Contains(natsAsk(t, c.Addr(), "orders", "one"), `"seq"`) }
	require.Eventually(t, stores, 30*time.Second, 100*time.Millisecond, "the node learns from the leader where the subject goes")
	c.Node(3).Kill()
	require.Eventually(t, stores, 30*time.Second, 100*time.Millisecond, "two nodes of three store")
}

func TestKeptNATSIsFoundAgain(t *testing.T) {
	t.Parallel()
	brokertest.NATS(t) // skips where there is none
	dir := filepath.Join(t.TempDir(), "kept")
	_, err := brokertest.OpenNATS(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	first, err := brokertest.KeepNATS(t.Context(), dir, nil)
	require.NoError(t, err)
	defer first.Kill()
	require.NoError(t, first.Start(t.Context()))

	second, err := brokertest.OpenNATS(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, first.Addrs(), second.Addrs())
	require.Equal(t, first.Node(1).PID(), second.Node(1).PID())
	second.Kill()
	require.Eventually(t, func() bool { return !first.Node(1).Running() }, 5*time.Second, 10*time.Millisecond)
}

func TestNATSIsShared(t *testing.T) {
	t.Parallel()
	addrs := brokertest.NATS(t)
	require.NotEmpty(t, addrs)
	require.Equal(t, addrs, brokertest.NATS(t), "the next test gets the same one")
}
