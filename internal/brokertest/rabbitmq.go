package brokertest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// RabbitMQOptions say what kind of RabbitMQ is started. The zero value and nil are a node that
// takes plain connections.
type RabbitMQOptions struct {
	// Certs adds a listener with TLS. A client's certificate is checked when it shows one, and logs
	// in with EXTERNAL as the user of its common name, which AddUser adds.
	Certs *Certs

	// ClientCert requires a certificate of every client with TLS.
	ClientCert bool

	// Config are lines of rabbitmq.conf that win over those of this package, such as
	// "consumer_timeout": "3000", which is looked at once a second.
	Config map[string]string
}

// RabbitMQNode is one RabbitMQ, which is started and injured as a test needs. Its data stays from
// start to start. It is safe for concurrent use. Its Process is the Erlang VM; the other one that a
// node needs, the port mapper of Erlang, comes and goes with it.
type RabbitMQNode struct {
	*Process

	epmd    *Process
	kit     *rabbitKit
	sandbox *sandbox // nil for one that is kept
	opts    RabbitMQOptions
	dir     string
	ports   rabbitPorts
	evals   atomic.Int64 // calls of Eval
}

// rabbitPorts are the ports of a node, all on 127.0.0.1.
type rabbitPorts struct {
	AMQP, TLS, Management int
	EPMD, Distribution    int // Erlang's own: the port mapper, and the node for other Erlang programs
}

// RabbitMQUser and RabbitMQPassword are the administrator of every node of this package.
const (
	RabbitMQUser     = "guest"
	RabbitMQPassword = "guest"
)

// StartRabbitMQ starts a RabbitMQ that belongs to the test, which may injure it. It is removed when
// the test ends; when the test has failed, the end of its log is shown before. A test whose
// RabbitMQ cannot be had is skipped, or fails where CI is set.
func StartRabbitMQ(t testing.TB, opts *RabbitMQOptions) *RabbitMQNode {
	t.Helper()
	_, err := rabbitFromEnv()
	require(t, err)
	n, err := RunRabbitMQ(t.Context(), opts)
	require(t, err)
	t.Cleanup(func() {
		showLog(t, n.Process)
		if err := n.Close(); err != nil {
			t.Errorf("remove RabbitMQ: %v", err)
		}
	})
	return n
}

// RunRabbitMQ starts a RabbitMQ for a program that is not a test. The caller closes it.
func RunRabbitMQ(ctx context.Context, opts *RabbitMQOptions) (*RabbitMQNode, error) {
	kit, err := getRabbit(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	return startNew(ctx, func() (*RabbitMQNode, error) { return kit.node(ctx, opts) },
		"eaddrinuse", "port_already_used", "duplicate_node_name")
}

// node makes the folder of a node, which does not run yet.
func (k *rabbitKit) node(ctx context.Context, opts *RabbitMQOptions) (*RabbitMQNode, error) {
	box, err := newSandbox(ctx, "leat-rabbitmq-")
	if err != nil {
		return nil, err
	}
	n, err := k.furnish(ctx, box.dir, opts, box)
	if err != nil {
		return nil, errors.Join(err, box.close())
	}
	return n, nil
}

// furnish makes a node in a folder: its configuration, and its data from the template.
func (k *rabbitKit) furnish(ctx context.Context, dir string, opts *RabbitMQOptions, guard *sandbox) (*RabbitMQNode, error) {
	if opts == nil {
		opts = &RabbitMQOptions{}
	}
	free, err := freePorts(ctx, 5)
	if err != nil {
		return nil, err
	}
	n := &RabbitMQNode{kit: k, sandbox: guard, opts: *opts, dir: dir, ports: rabbitPorts{
		AMQP: free[0], TLS: free[1], Management: free[2], EPMD: free[3], Distribution: free[4],
	}}
	n.place()
	for _, sub := range []string{n.epmd.Dir(), n.Dir(), n.file("log")} {
		if err := os.MkdirAll(sub, 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(filepath.Join(k.erts, "epmd"), filepath.Join(n.epmd.Dir(), "epmd")); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"rabbitmq.conf": n.config(), "advanced.config": rabbitAdvanced, "enabled_plugins": rabbitPlugins, "rabbitmq-env.conf": "",
	} {
		if err := os.WriteFile(n.file(name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if k.template == "" { // it is being made
		return n, nil
	}
	return n, os.CopyFS(n.file("data"), os.DirFS(k.template))
}

// place makes the processes of the node, which do not run yet.
func (n *RabbitMQNode) place() {
	n.epmd = n.kit.epmd(n)
	n.Process = n.kit.vm(n)
}

func (n *RabbitMQNode) file(name string) string { return filepath.Join(n.dir, "node", name) }

// URL returns the address of the plain listener with the administrator's name and password, and the
// virtual host "/".
func (n *RabbitMQNode) URL() string { return n.URLFor(RabbitMQUser, RabbitMQPassword, "/") }

// URLFor returns the address of the plain listener for a user and a virtual host.
func (n *RabbitMQNode) URLFor(user, password, vhost string) string {
	return rabbitURL("amqp", n.ports.AMQP, url.UserPassword(user, password), vhost)
}

// TLSURL returns the address of the listener with TLS, as URL does.
func (n *RabbitMQNode) TLSURL() string {
	return rabbitURL("amqps", n.ports.TLS, url.UserPassword(RabbitMQUser, RabbitMQPassword), "/")
}

// Addr returns host:port of the plain listener.
func (n *RabbitMQNode) Addr() string { return address(n.ports.AMQP) }

// TLSAddr returns host:port of the listener with TLS.
func (n *RabbitMQNode) TLSAddr() string { return address(n.ports.TLS) }

// ManagementURL returns the address of the management API with the administrator's name and
// password, without a path.
func (n *RabbitMQNode) ManagementURL() string {
	return (&url.URL{
		Scheme: "http", User: url.UserPassword(RabbitMQUser, RabbitMQPassword), Host: address(n.ports.Management),
	}).String()
}

// Version returns the version of RabbitMQ: "3.10.8".
func (n *RabbitMQNode) Version() string { return n.kit.version }

// Start starts the node with the data that it has; see Process.Start.
func (n *RabbitMQNode) Start(ctx context.Context) error {
	if !n.epmd.Running() {
		if err := n.epmd.Start(ctx); err != nil {
			return err
		}
	}
	if err := n.Process.Start(ctx); err != nil {
		return err
	}
	if !n.epmd.Running() { // it ends without a word
		return errors.New("start rabbitmq: another program listens on the port of the port mapper (eaddrinuse)")
	}
	return nil
}

// Restart stops the node, if it runs, and starts it with the data that it has.
func (n *RabbitMQNode) Restart(ctx context.Context) error {
	if err := n.Stop(); err != nil {
		return err
	}
	return n.Start(ctx)
}

// Stop asks the node to end; see Process.Stop.
func (n *RabbitMQNode) Stop() error {
	err := n.Process.Stop()
	n.epmd.Kill() // it keeps nothing
	return err
}

// Kill ends the node at once; see Process.Kill.
func (n *RabbitMQNode) Kill() {
	n.Process.Kill()
	n.epmd.Kill()
}

// Close kills the node and removes its folder, unless that is kept.
func (n *RabbitMQNode) Close() error {
	n.Kill()
	if n.sandbox == nil {
		return nil
	}
	return n.sandbox.close()
}

func rabbitURL(scheme string, port int, user *url.Userinfo, vhost string) string {
	u := &url.URL{Scheme: scheme, User: user, Host: address(port), Path: "/"}
	if vhost != "/" {
		u.Path, u.RawPath = "/"+vhost, "/"+url.PathEscape(vhost)
	}
	return u.String()
}
