package brokertest

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
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
	cluster

	opts  KafkaOptions
	nodes []*kafkaNode
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
	return startNew(ctx, func() (*KafkaCluster, error) { return kit.cluster(ctx, opts) }, "Address already in use")
}

// cluster makes the folders of a cluster, which does not run yet.
func (k *kafkaKit) cluster(ctx context.Context, opts *KafkaOptions) (*KafkaCluster, error) {
	box, err := newSandbox(ctx, "leat-kafka-")
	if err != nil {
		return nil, err
	}
	c := &KafkaCluster{cluster: cluster{sandbox: box}, opts: *opts}
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
	if c.isWhole() {
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

// LiftFileLimit takes the FileLimit away from the brokers when they start the next time, as if the
// disk had got more room.
func (c *KafkaCluster) LiftFileLimit() {
	for _, p := range c.processes {
		p.spec.limit = 0
	}
}
