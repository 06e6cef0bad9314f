package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

	// Domain is the JetStream domain; "" is none.
	Domain string

	// Config is added to the configuration of each server: users, or limits.
	Config string
}

// NATSCluster is one NATS with JetStream, of one node or several. Its data stays from start to
// start. It is safe for concurrent use.
type NATSCluster struct {
	cluster

	opts  NATSOptions
	ports []natsPorts // of each node
}

// natsPorts are the ports of a server, all on 127.0.0.1.
type natsPorts struct{ Client, Cluster, Monitor int }

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
		c.showLogs(t)
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
	return startNew(ctx, func() (*NATSCluster, error) { return newNATS(ctx, program, opts) }, "address already in use")
}

// newNATS makes the folders of a cluster, which does not run yet.
func newNATS(ctx context.Context, program string, opts *NATSOptions) (*NATSCluster, error) {
	box, err := newSandbox(ctx, "leat-nats-")
	if err != nil {
		return nil, err
	}
	c := &NATSCluster{cluster: cluster{sandbox: box}, opts: *opts}
	if err := c.furnish(ctx, program, box.dir); err != nil {
		return nil, errors.Join(err, box.close())
	}
	return c, nil
}

// furnish makes the folders of the nodes in dir, with their configuration.
func (c *NATSCluster) furnish(ctx context.Context, program, dir string) error {
	const perNode = 3
	ports, err := freePorts(ctx, max(c.opts.Nodes, 1)*perNode)
	if err != nil {
		return err
	}
	for p := range slices.Chunk(ports, perNode) {
		c.ports = append(c.ports, natsPorts{Client: p[0], Cluster: p[1], Monitor: p[2]})
	}
	c.place(program, dir)
	for i, p := range c.processes {
		if err := os.MkdirAll(p.Dir(), 0o700); err != nil {
			return err
		}
		text := c.config(p.spec.name, p.Dir(), c.ports[i])
		if err := os.WriteFile(natsConfig(p.Dir()), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func natsConfig(dir string) string { return filepath.Join(dir, "nats.conf") }

// place makes the processes of the nodes, which do not run yet.
func (c *NATSCluster) place(program, dir string) {
	for i, ports := range c.ports {
		name := fmt.Sprintf("nats-%d", i+1)
		dir := filepath.Join(dir, name)
		c.processes = append(c.processes, &Process{spec: spec{
			name: name, dir: dir, args: []string{program, "-c", natsConfig(dir)}, guard: c.sandbox,
			ready: func(ctx context.Context) error {
				if err := natsGet(ctx, ports.Monitor, "/healthz", nil); err != nil || len(c.ports) == 1 || c.isWhole() {
					return err // later other nodes may be down on purpose
				}
				return natsPeers(ctx, ports.Monitor, len(c.ports))
			},
		}})
	}
}

// config returns the configuration of a server.
func (c *NATSCluster) config(name, dir string, ports natsPorts) string {
	var b strings.Builder
	opts := &c.opts
	fmt.Fprintf(&b, "server_name: %s\nlisten: %q\nhttp: %q\n", name, address(ports.Client), address(ports.Monitor))
	fmt.Fprintf(&b, "jetstream { store_dir: %q, max_memory_store: 256M, max_file_store: 4G", filepath.Join(dir, "data"))
	if opts.Domain != "" {
		fmt.Fprintf(&b, ", domain: %s", opts.Domain)
	}
	b.WriteString(" }\n")
	if len(c.ports) > 1 {
		var routes []string
		for _, n := range c.ports {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+address(n.Cluster)))
		}
		// Clients are not told of the other nodes: a test names those that it means.
		fmt.Fprintf(&b, "cluster { name: leat, listen: %q, no_advertise: true, routes: [%s] }\n",
			address(ports.Cluster), strings.Join(routes, ", "))
	}
	if opts.Certs != nil {
		fmt.Fprintf(&b, "tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %t }\n",
			opts.Certs.ServerFile, opts.Certs.ServerKeyFile, opts.Certs.CAFile, opts.ClientCert)
	}
	b.WriteString(opts.Config)
	b.WriteByte('\n')
	return b.String()
}

// natsPeers fails while a node of a cluster may refuse streams with replicas. The leader is
// elected, and says that it is healthy, before it has heard from every other node, and places
// nothing on those that it has not heard from. Only the leader lists the others.
func natsPeers(ctx context.Context, port, nodes int) error {
	var jetStream struct {
		Meta struct {
			Leader   string `json:"leader"`
			Replicas []struct {
				Current bool `json:"current"`
				Offline bool `json:"offline"`
			} `json:"replicas"`
		} `json:"meta_cluster"`
	}
	var server struct {
		Name string `json:"server_name"`
	}
	if err := errors.Join(natsGet(ctx, port, "/jsz", &jetStream), natsGet(ctx, port, "/varz", &server)); err != nil {
		return err
	}
	meta := jetStream.Meta
	if meta.Leader == "" {
		return errors.New("NATS has no leader")
	}
	if meta.Leader != server.Name {
		return nil
	}
	known := 1
	for _, r := range meta.Replicas {
		if r.Current && !r.Offline {
			known++
		}
	}
	if known < nodes {
		return fmt.Errorf("NATS knows %d nodes of %d", known, nodes)
	}
	return nil
}

// natsGet asks a server's monitor, and decodes the answer unless into is nil. /healthz says whether
// the server takes clients and has recovered its streams.
func natsGet(ctx context.Context, port int, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(port)+path, http.NoBody)
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
		return fmt.Errorf("NATS answers %s to %s", answer.Status, path)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(io.LimitReader(answer.Body, maxResponse)).Decode(into)
}

// Addrs returns host:port of each node.
func (c *NATSCluster) Addrs() []string {
	var addrs []string
	for _, n := range c.ports {
		addrs = append(addrs, address(n.Client))
	}
	return addrs
}

// Addr returns host:port of the first node.
func (c *NATSCluster) Addr() string { return c.Addrs()[0] }

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
