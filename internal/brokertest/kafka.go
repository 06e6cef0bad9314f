package brokertest

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// KafkaOptions say what kind of Kafka is started. The zero value and nil are one node that takes
// plain connections.
type KafkaOptions struct {
	// Nodes is the number of brokers, each of which is a controller too; 1 by default. With three,
	// topics have three replicas, of which two must be in sync.
	Nodes int

	// Listeners are offered beside the plain one, which stays: brokers and this package talk over
	// it.
	Listeners []KafkaListener

	// Properties are lines of server.properties that win over those of this package.
	Properties map[string]string

	// Users are names and passwords, without special characters, that can log in at SASL listeners
	// with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
	Users map[string]string

	// Certs are those of SSL and SASL_SSL listeners.
	Certs *Certs

	// Authorize allows clients only what ACLs allow; those of the plain listener may do everything,
	// such as set the ACLs. A user of SASL is the principal "User:name", a client of mutual TLS
	// "User:CN=client".
	Authorize bool

	// Heap is the size of each broker's heap as Java writes it; "256m" by default.
	Heap string

	// JVM are further flags for Java, such as -XX:TieredStopAtLevel=4 for a broker that is
	// measured.
	JVM []string

	// Data is the folder for the data of the nodes, node-1 and so on, such as a small disk that is
	// to become full. By default the data is in the folder that goes with the cluster.
	Data string

	// FileLimit is the longest file that a broker may write, in bytes: writing on fails as it does
	// on a full disk, and the broker ends. It starts with 11 MiB and more, because its index files
	// begin with 10 MiB. 0 is no limit.
	FileLimit int64
}

// KafkaListener is a further listener of every node.
type KafkaListener struct {
	Name     string // in capitals: "TLS"
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL

	// ClientCert requires a certificate of every client, which an SSL listener can do.
	ClientCert bool

	// Advertised are the addresses that clients are told, one for each node: those of proxies, for
	// instance. By default it is the listener's own address.
	Advertised []string
}

// KafkaCluster is one Kafka, of one node or several. It is safe for concurrent use.
type KafkaCluster struct {
	opts      KafkaOptions
	sandbox   *sandbox // nil for one that is kept
	nodes     []*kafkaNode
	processes []*Process

	mu    sync.Mutex
	whole bool // all nodes have been up together since the last Start of all
}

// StartKafka starts a Kafka that belongs to the test, which may injure it. It is removed when the
// test ends; when the test has failed, the end of its log is shown before. A test whose Kafka
// cannot be had is skipped, or fails where CI is set.
func StartKafka(t testing.TB, opts *KafkaOptions) *KafkaCluster {
	t.Helper()
	_, err := addrsFromEnv(KafkaVariable)
	require(t, err)
	c, err := RunKafka(t.Context(), opts)
	require(t, err)
	t.Cleanup(func() {
		c.showLogs(t)
		if err := c.Close(); err != nil {
			t.Errorf("remove Kafka: %v", err)
		}
	})
	return c
}

// RunKafka starts a Kafka for a program that is not a test. The caller closes it.
func RunKafka(ctx context.Context, opts *KafkaOptions) (*KafkaCluster, error) {
	if opts == nil {
		opts = &KafkaOptions{}
	}
	kit, err := getKafka(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		c, err := kit.cluster(ctx, opts)
		if err != nil {
			return nil, err
		}
		if err = c.Start(ctx); err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Close())
		// Another program can take a port between its choice and its use.
		if attempt == 3 || !strings.Contains(err.Error(), "Address already in use") {
			return nil, err
		}
	}
}

// cluster makes the folders of a cluster, which does not run yet.
func (k *kafkaKit) cluster(ctx context.Context, opts *KafkaOptions) (*KafkaCluster, error) {
	box, err := newSandbox(ctx, "leat-kafka-")
	if err != nil {
		return nil, err
	}
	c := &KafkaCluster{opts: *opts, sandbox: box}
	if err := c.furnish(ctx, k, box.dir); err != nil {
		return nil, errors.Join(err, box.close())
	}
	return c, nil
}

func (c *KafkaCluster) furnish(ctx context.Context, k *kafkaKit, dir string) error {
	template := k.template
	if len(c.opts.Users) > 0 {
		template = filepath.Join(dir, "template")
		if err := k.format(ctx, template, c.opts.Users); err != nil {
			return err
		}
	}
	perNode := 2 + len(c.opts.Listeners)
	count := max(c.opts.Nodes, 1)
	ports, err := freePorts(ctx, count*perNode)
	if err != nil {
		return err
	}
	c.place(dir, slices.Collect(slices.Chunk(ports, perNode)))
	for _, n := range c.nodes {
		if err := n.furnish(kafkaProperties(c.nodes, n, &c.opts), template); err != nil {
			return err
		}
		c.processes = append(c.processes, n.process(k, &c.opts, c.sandbox, c.want))
	}
	return nil
}

// place gives each node its folder and its ports.
func (c *KafkaCluster) place(dir string, ports [][]int) {
	for i := range ports {
		name := "node-" + strconv.Itoa(i+1)
		n := &kafkaNode{id: i + 1, dir: filepath.Join(dir, name), ports: ports[i]}
		n.data = filepath.Join(n.dir, "data")
		if c.opts.Data != "" {
			n.data = filepath.Join(c.opts.Data, name)
		}
		c.nodes = append(c.nodes, n)
	}
}

// want is the number of brokers that a node has to know before it counts as ready: at the first
// start all. Later other nodes may be down on purpose.
func (c *KafkaCluster) want() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.whole {
		return 1
	}
	return len(c.nodes)
}

// Addrs returns the addresses of the plain listener, one for each node.
func (c *KafkaCluster) Addrs() []string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, address(n.ports[0]))
	}
	return addrs
}

// ListenerAddrs returns the addresses of one of the options' listeners, one for each node; none
// when there is no such listener.
func (c *KafkaCluster) ListenerAddrs(name string) []string {
	var addrs []string
	for i, l := range c.opts.Listeners {
		for _, n := range c.nodes {
			if l.Name == name {
				addrs = append(addrs, address(n.ports[2+i]))
			}
		}
	}
	return addrs
}

// Node returns a broker by its id, which counts from 1.
func (c *KafkaCluster) Node(id int) *Process { return c.processes[id-1] }

// Nodes returns all brokers, in the order of their ids.
func (c *KafkaCluster) Nodes() []*Process { return append([]*Process(nil), c.processes...) }

// Start starts the nodes that do not run, together, and returns when each knows of all.
func (c *KafkaCluster) Start(ctx context.Context) error {
	c.setWhole(false)
	err := c.each(func(p *Process) error {
		if r := p.running(); r != nil {
			return p.await(ctx, r)
		}
		return p.Start(ctx)
	})
	c.setWhole(err == nil)
	return err
}

func (c *KafkaCluster) setWhole(whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = whole
}

// LiftFileLimit takes the FileLimit away from the brokers when they start the next time, as if the
// disk had got more room.
func (c *KafkaCluster) LiftFileLimit() {
	for _, p := range c.processes {
		p.spec.limit = 0
	}
}

// Restart stops all nodes and starts them with the data that they have.
func (c *KafkaCluster) Restart(ctx context.Context) error {
	return errors.Join(c.Stop(), c.Start(ctx))
}

// Stop asks all nodes to end. A cluster of several takes some seconds for it, because the last
// nodes have no quorum any more.
func (c *KafkaCluster) Stop() error { return c.each((*Process).Stop) }

// Kill ends all nodes at once; see Process.Kill.
func (c *KafkaCluster) Kill() {
	_ = c.each(func(p *Process) error { p.Kill(); return nil })
}

// Pause freezes all nodes; see Process.Pause.
func (c *KafkaCluster) Pause() error { return c.each((*Process).Pause) }

// Resume lets all nodes go on.
func (c *KafkaCluster) Resume() error { return c.each((*Process).Resume) }

// Close kills all nodes and removes their folder, unless that is kept.
func (c *KafkaCluster) Close() error {
	c.Kill()
	if c.sandbox == nil {
		return nil
	}
	return c.sandbox.close()
}

// each calls f for all nodes at the same time.
func (c *KafkaCluster) each(f func(*Process) error) error {
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = f(p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// showLogs puts the end of each node's log into the output of a test that has failed.
func (c *KafkaCluster) showLogs(t testing.TB) {
	t.Helper()
	for _, p := range c.processes {
		showLog(t, p)
	}
}
