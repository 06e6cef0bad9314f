package brokertest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// process returns the broker as a process. It is ready when it knows of all brokers, or when want
// is smaller, of as many.
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
