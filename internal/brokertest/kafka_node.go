package brokertest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The id of every test cluster; 22 characters of base64, as Kafka wants them.
const kafkaClusterID = "leatLeatLeatLeatLeatLg"

// kafkaNode is one broker of a cluster, which is a controller too.
type kafkaNode struct {
	id    int
	dir   string // of its configuration and log
	data  string
	ports []int // of the broker, of the controller, then of the options' listeners
}

// kafkaProperties returns the server.properties of node n of a cluster. The options' lines come last, because Java takes the last of two
// lines with the same name.
func kafkaProperties(nodes []*kafkaNode, n *kafkaNode, opts *KafkaOptions) string {
	replicas, inSync := min(len(nodes), 3), min(len(nodes), 2)
	var voters []string
	for _, other := range nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", other.id, address(other.ports[1])))
	}
	listeners := []string{"PLAINTEXT://" + address(n.ports[0]), "CONTROLLER://" + address(n.ports[1])}
	advertised := listeners[:1:1]
	protocols := []string{"PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT"}
	for i, l := range opts.Listeners {
		at := address(n.ports[2+i])
		listeners = append(listeners, l.Name+"://"+at)
		if n.id <= len(l.Advertised) {
			at = l.Advertised[n.id-1]
		}
		advertised = append(advertised, l.Name+"://"+at)
		protocols = append(protocols, l.Name+":"+l.Protocol)
	}
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s=%v\n", name, value) }
	line("process.roles", "broker,controller")
	line("node.id", n.id)
	line("controller.quorum.voters", strings.Join(voters, ","))
	line("listeners", strings.Join(listeners, ","))
	line("advertised.listeners", strings.Join(advertised, ","))
	line("inter.broker.listener.name", "PLAINTEXT")
	line("controller.listener.names", "CONTROLLER")
	line("listener.security.protocol.map", strings.Join(protocols, ","))
	line("log.dirs", n.data)
	for _, name := range []string{"default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"} {
		line(name+".replication.factor", replicas)
	}
	for _, name := range []string{"min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"} {
		line(name, inSync)
	}
	b.WriteString(kafkaServer)
	for _, name := range slices.Sorted(maps.Keys(opts.Properties)) {
		line(name, opts.Properties[name])
	}
	return b.String()
}

// furnish writes the node's folders: its configuration, and its data from a formatted template.
func (n *kafkaNode) furnish(properties, template string) error {
	if err := os.MkdirAll(filepath.Dir(n.data), 0o700); err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "server.properties"), []byte(properties), 0o600); err != nil {
		return err
	}
	if err := os.CopyFS(n.data, os.DirFS(template)); err != nil {
		return err
	}
	// Only this file tells the data folders of a cluster's nodes apart.
	meta := filepath.Join(n.data, "meta.properties")
	text, err := os.ReadFile(meta)
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	for name, value := range map[string]string{
		"node.id": strconv.Itoa(n.id), "directory.id": base64.RawURLEncoding.EncodeToString(id),
	} {
		text = regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`=.*$`).ReplaceAll(text, []byte(name+"="+value))
	}
	return os.WriteFile(meta, text, 0o600)
}

// process returns the broker as a process. It is ready when it knows of all brokers, or when want is smaller, of as many.
func (n *kafkaNode) process(kit *kafkaKit, opts *KafkaOptions, guard *sandbox, want func() int) *Process {
	heap := opts.Heap
	if heap == "" {
		heap = "256m"
	}
	args := append(kit.flags(n.dir), "-Xmx"+heap)
	args = append(args, opts.JVM...)
	args = append(args, "kafka.Kafka", filepath.Join(n.dir, "server.properties"))
	return &Process{spec: spec{
		name: fmt.Sprintf("kafka-%d", n.id), dir: n.dir, args: args, guard: guard, limit: opts.FileLimit,
		ready: func(ctx context.Context) error {
			known, err := kafkaBrokers(ctx, address(n.ports[0]))
			if err == nil && known < want() {
				err = fmt.Errorf("%d brokers of %d can be used", known, want())
			}
			return err
		},
	}}
}
