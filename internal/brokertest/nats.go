package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// NATSOptions say what kind of NATS is started. The zero value and nil are one node that takes
// plain connections of anybody.
type NATSOptions struct {
	// Nodes is the number of servers; 1 by default. Several are a cluster, whose streams may have
	// replicas.
	Nodes int

	// Certs makes every client use TLS.
	Certs *Certs

	// ClientCert requires a certificate of every client with TLS.
	ClientCert bool

	// Config is added to the configuration of each server: users, or limits.
	Config string
}

// NATSCluster is one NATS with JetStream, of one node or several. Its data stays from start to
// start. It is safe for concurrent use.
type NATSCluster struct {
	sandbox   *sandbox
	nodes     []natsPorts
	processes []*Process
}

// natsPorts are the ports of a server, all on 127.0.0.1.
type natsPorts struct{ client, cluster, monitor int }

// StartNATS starts a NATS that belongs to the test, which may injure it. It is removed when the
// test ends; when the test has failed, the end of its log is shown before. A test whose NATS cannot
// be had is skipped, or fails where CI is set.
func StartNATS(t testing.TB, opts *NATSOptions) *NATSCluster {
	t.Helper()
	_, err := addrsFromEnv(NATSVariable)
	require(t, err)
	c, err := RunNATS(t.Context(), opts)
	require(t, err)
	t.Cleanup(func() {
		for _, p := range c.processes {
			showLog(t, p)
		}
		if err := c.Close(); err != nil {
			t.Errorf("remove NATS: %v", err)
		}
	})
	return c
}

// RunNATS starts a NATS for a program that is not a test. The caller closes it.
func RunNATS(ctx context.Context, opts *NATSOptions) (*NATSCluster, error) {
	if opts == nil {
		opts = &NATSOptions{}
	}
	program, err := getNATS(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := newNATS(ctx, program, opts)
		if err != nil {
			return nil, err
		}
		if err = c.Start(ctx); err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Close())
		// Another program can take a port between its choice and its use.
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
	}
}

// newNATS makes the folders of a cluster, which does not run yet.
func newNATS(ctx context.Context, program string, opts *NATSOptions) (*NATSCluster, error) {
	const perNode = 3
	count := max(opts.Nodes, 1)
	ports, err := freePorts(ctx, count*perNode)
	if err != nil {
		return nil, err
	}
	box, err := newSandbox(ctx, "leat-nats-")
	if err != nil {
		return nil, err
	}
	c := &NATSCluster{sandbox: box}
	for i := range count {
		p := ports[i*perNode:]
		c.nodes = append(c.nodes, natsPorts{client: p[0], cluster: p[1], monitor: p[2]})
	}
	for i, ports := range c.nodes {
		name := fmt.Sprintf("nats-%d", i+1)
		dir := filepath.Join(box.dir, name)
		err := os.MkdirAll(dir, 0o700)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(c.config(name, dir, ports, opts)), 0o600)
		}
		if err != nil {
			return nil, errors.Join(err, box.close())
		}
		c.processes = append(c.processes, &Process{spec: spec{
			name: name, dir: dir, args: []string{program, "-c", filepath.Join(dir, "nats.conf")}, guard: box,
			ready: func(ctx context.Context) error { return natsReady(ctx, ports.monitor) },
		}})
	}
	return c, nil
}

// config returns the configuration of a server.
func (c *NATSCluster) config(name, dir string, ports natsPorts, opts *NATSOptions) string {
	var b strings.Builder
	fmt.Fprintf(&b, "server_name: %s\nlisten: %q\nhttp: %q\n", name, address(ports.client), address(ports.monitor))
	fmt.Fprintf(&b, "jetstream { store_dir: %q, max_memory_store: 256M, max_file_store: 4G }\n", filepath.Join(dir, "data"))
	if len(c.nodes) > 1 {
		var routes []string
		for _, n := range c.nodes {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+address(n.cluster)))
		}
		// Clients are not told of the other nodes: a test names those that it means.
		fmt.Fprintf(&b, "cluster { name: leat, listen: %q, no_advertise: true, routes: [%s] }\n",
			address(ports.cluster), strings.Join(routes, ", "))
	}
	if opts.Certs != nil {
		fmt.Fprintf(&b, "tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %t }\n",
			opts.Certs.ServerFile, opts.Certs.ServerKeyFile, opts.Certs.CAFile, opts.ClientCert)
	}
	b.WriteString(opts.Config)
	b.WriteByte('\n')
	return b.String()
}

// natsReady asks a server whether it takes clients and has recovered its streams.
func natsReady(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(port)+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("NATS answers %s", answer.Status)
	}
	return nil
}

// Addrs returns host:port of each node.
func (c *NATSCluster) Addrs() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, address(n.client))
	}
	return addrs
}

// Addr returns host:port of the first node.
func (c *NATSCluster) Addr() string { return c.Addrs()[0] }

// Node returns a server by its number, which counts from 1.
func (c *NATSCluster) Node(n int) *Process { return c.processes[n-1] }

// Start starts the nodes that do not run, together, and returns when all can be used.
func (c *NATSCluster) Start(ctx context.Context) error {
	return c.each(func(p *Process) error {
		if r := p.running(); r != nil {
			return p.await(ctx, r)
		}
		return p.Start(ctx)
	})
}

// Restart stops all nodes and starts them with the data that they have.
func (c *NATSCluster) Restart(ctx context.Context) error {
	return errors.Join(c.Stop(), c.Start(ctx))
}

// Stop asks all nodes to end; see [Process.Stop].
func (c *NATSCluster) Stop() error { return c.each((*Process).Stop) }

// Kill ends all nodes at once; see [Process.Kill].
func (c *NATSCluster) Kill() {
	_ = c.each(func(p *Process) error { p.Kill(); return nil })
}

// Pause freezes all nodes; see [Process.Pause].
func (c *NATSCluster) Pause() error { return c.each((*Process).Pause) }

// Resume lets all nodes go on.
func (c *NATSCluster) Resume() error { return c.each((*Process).Resume) }

// Close kills all nodes and removes their folder.
func (c *NATSCluster) Close() error {
	c.Kill()
	return c.sandbox.close()
}

// each calls f for all nodes at the same time.
func (c *NATSCluster) each(f func(*Process) error) error {
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = f(p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// natsAnswers looks for a server at an address that somebody has given.
func natsAnswers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%s names a NATS that does not answer: %w", NATSVariable, err)
	}
	return conn.Close()
}
