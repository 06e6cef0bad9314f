package brokertest_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

const (
	connectionForced = 320
	accessRefused    = 403
)

// TestRabbitMQControls does to one node what a test can do to it.
func TestRabbitMQControls(t *testing.T) {
	t.Parallel()
	node := brokertest.StartRabbitMQ(t, nil)
	listensOnLoopbackOnly(t, node)
	closesConnections(t, node)
	raisesAlarms(t, node)
	managesUsers(t, node)
	looksAtQueues(t, node)

	text, err := node.Eval(t.Context(), `X = 6 * 7, io:format("~b", [X]).`)
	require.NoError(t, err)
	require.Equal(t, "42", text)
	_, err = node.Eval(t.Context(), "exit(broken)")
	require.ErrorContains(t, err, "broken")
	_, err = node.Eval(t.Context(), "1 +")
	require.Error(t, err)
}

// user logs in as a user and returns what the broker says.
func user(t *testing.T, node *brokertest.RabbitMQNode, name, password, vhost, connection string) (*amqpConn, amqpMethod) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", node.Addr())
	require.NoError(t, err)
	c, m, err := amqpLogin(t, conn, "PLAIN", "\x00"+name+"\x00"+password, vhost, connection)
	require.NoError(t, err)
	return c, m
}

func guest(t *testing.T, node *brokertest.RabbitMQNode, connection string) *amqpConn {
	t.Helper()
	c, m := user(t, node, brokertest.RabbitMQUser, brokertest.RabbitMQPassword, "/", connection)
	require.EqualValues(t, connectionOpenOK, m.number, "%s", m.body)
	return c
}

func closesConnections(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	one, other := guest(t, node, "one"), guest(t, node, "other")
	all, err := node.Connections(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 2)
	assert.Equal(t, "guest", all[0].User)
	assert.Equal(t, "/", all[0].VHost)

	n, err := node.CloseConnections(t.Context(), func(c brokertest.RabbitMQConnection) bool { return c.Name == "one" })
	require.NoError(t, err)
	require.Equal(t, 1, n)
	m, err := one.next()
	require.NoError(t, err)
	require.Equal(t, connectionForced, m.code())

	n, err = node.CloseConnections(t.Context(), func(c brokertest.RabbitMQConnection) bool { return c.Name != "one" })
	require.NoError(t, err)
	require.Equal(t, 1, n, "the other one was left alone")
	m, err = other.next()
	require.NoError(t, err)
	require.Equal(t, connectionForced, m.code())
}

func raisesAlarms(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	c := guest(t, node, "")
	c.publish(t)
	for name, alarm := range map[string]func(bool) error{
		"memory": func(on bool) error { return node.MemoryAlarm(t.Context(), on) },
		"disk":   func(on bool) error { return node.DiskAlarm(t.Context(), on) },
	} {
		require.NoError(t, alarm(true), name)
		c.publishAgain(t)
		m, err := c.next()
		require.NoError(t, err)
		require.EqualValues(t, connectionBlocked, m.number, name)
		require.NoError(t, alarm(false), name)
		m, err = c.next()
		require.NoError(t, err)
		require.EqualValues(t, connectionFree, m.number, name)
	}
}

func managesUsers(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	ctx := t.Context()
	const vhost = "a/b c"
	require.NoError(t, node.AddVhost(ctx, vhost))
	require.NoError(t, node.AddUser(ctx, "ann", "secret"))
	_, m := user(t, node, "ann", "secret", vhost, "")
	require.NotEqualValues(t, connectionOpenOK, m.number, "ann may not see the virtual host")
	require.NoError(t, node.SetPermissions(ctx, "ann", vhost, "", ".*", ".*"))
	c, m := user(t, node, "ann", "secret", vhost, "")
	require.EqualValues(t, connectionOpenOK, m.number, "%s", m.body)
	require.Equal(t, "amqp://ann:secret@"+node.Addr()+"/a%2Fb%20c", node.URLFor("ann", "secret", vhost))

	require.NoError(t, node.ChangePassword(ctx, "ann", "other"))
	_, m = user(t, node, "ann", "secret", vhost, "")
	require.Equal(t, accessRefused, m.code(), "the password is another now")
	_, m = user(t, node, "ann", "other", vhost, "")
	require.EqualValues(t, connectionOpenOK, m.number, "permissions stay: %s", m.body)

	require.NoError(t, node.DeleteUser(ctx, "ann"))
	m, err := c.next()
	require.NoError(t, err)
	require.Equal(t, connectionForced, m.code(), "the connections of a user who is deleted are closed")
	_, m = user(t, node, "ann", "other", vhost, "")
	require.Equal(t, accessRefused, m.code())
	require.NoError(t, node.DeleteVhost(ctx, vhost))
	require.ErrorContains(t, node.DeleteUser(ctx, "ann"), "404")
}

func looksAtQueues(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, node.Manage(ctx, http.MethodPut, "/api/exchanges/%2F/topics", map[string]any{"type": "topic", "durable": true}, nil))
	for _, kind := range []string{"classic", "quorum", "stream"} {
		declareQueue(t, node, kind, kind)
		publishTo(t, node, kind)
		require.NoError(t, node.Manage(ctx, http.MethodPost, "/api/bindings/%2F/e/topics/q/"+kind, map[string]any{"routing_key": "a.*"}, nil))
		if kind == "stream" { // it counts what it has once in a while
			continue
		}
		ready(t, node, kind, 1, "the message is there")
		q, err := node.Queue(ctx, "/", kind)
		require.NoError(t, err)
		require.Equal(t, brokertest.RabbitMQQueue{
			Name: kind, Type: kind, Durable: true, Ready: 1,
			Arguments: map[string]any{"x-queue-type": kind, "x-max-length-bytes": 7000.0},
		}, q)
	}
	exchanges, err := node.Exchanges(ctx, "/")
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(exchanges, func(e brokertest.RabbitMQExchange) bool {
		return e.Name == "topics" && e.Type == "topic" && e.Durable
	}))
	bound := func() int {
		all, err := node.Bindings(ctx, "/")
		require.NoError(t, err)
		n := 0
		for _, b := range all {
			if b.Source == "topics" && b.DestinationType == "queue" && b.RoutingKey == "a.*" {
				n++
			}
		}
		return n
	}
	require.Equal(t, 3, bound())
	require.NoError(t, node.DeleteQueue(ctx, "/", "quorum"))
	_, err = node.Queue(ctx, "/", "quorum")
	require.ErrorIs(t, err, brokertest.ErrNoQueue)
	require.Equal(t, 2, bound())
	require.NoError(t, node.DeleteExchange(ctx, "/", "topics"))
	require.Zero(t, bound())
}

// listensOnLoopbackOnly looks at all sockets of the node and its port mapper, as Linux tells them.
func listensOnLoopbackOnly(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // sl local remote st tx:rx tr:when retrnsmt uid timeout inode
			if len(f) < 10 || f[3] != "0A" {
				continue
			}
			if owns(t, node.PID(), f[9]) || owns(t, brokertest.EPMD(node).PID(), f[9]) {
				found = append(found, f[1])
			}
		}
	}
	require.GreaterOrEqual(t, len(found), 4, "clients, management, distribution and the port mapper")
	for _, local := range found {
		host, port, _ := strings.Cut(local, ":")
		require.Contains(t, []string{"0100007F", "00000000000000000000000001000000"}, host, "127.0.0.1 or ::1, port %s", port)
	}
}

// owns says whether a process has a socket open.
func owns(t *testing.T, pid int, inode string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return slices.ContainsFunc(files, func(file string) bool {
		target, err := os.Readlink(file)
		return err == nil && target == "socket:["+inode+"]"
	})
}
