package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leatgo/leat/internal/brokertest"
)

// kept is a broker in a folder, which goes on when this program ends.
type kept struct {
	target

	start func(ctx context.Context) error // what does not run of it
	nodes []target
	value string // of the variable
}

// target is a broker or one of its nodes.
type target interface {
	Stop() error
	Kill()
	Restart(ctx context.Context) error
	Pause() error
	Resume() error
}

// node returns a node by its number, which counts from 1, or for 0 all of them.
func (k *kept) node(n int) (target, error) {
	switch {
	case n == 0:
		return k, nil
	case n < 0 || n > len(k.nodes):
		return nil, fmt.Errorf("the broker has %d nodes, and no node %d", len(k.nodes), n)
	}
	return k.nodes[n-1], nil
}

func keepKafka(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	c, err := brokertest.KeepKafka(ctx, dir, &brokertest.KafkaOptions{Nodes: nodes, Properties: properties})
	return keptCluster(c, err)
}

func openKafka(ctx context.Context, dir string) (*kept, error) {
	c, err := brokertest.OpenKafka(ctx, dir)
	return keptCluster(c, err)
}

func keepNATS(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	var config strings.Builder
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&config, "%s: %s\n", name, properties[name])
	}
	c, err := brokertest.KeepNATS(ctx, dir, &brokertest.NATSOptions{Nodes: nodes, Config: config.String()})
	return keptCluster(c, err)
}

func openNATS(ctx context.Context, dir string) (*kept, error) {
	c, err := brokertest.OpenNATS(ctx, dir)
	return keptCluster(c, err)
}

// keptCluster wraps what a function of brokertest has returned.
func keptCluster(c interface {
	target
	Start(ctx context.Context) error
	Addrs() []string
	Nodes() []*brokertest.Process
}, err error,
) (*kept, error) {
	if err != nil {
		return nil, err
	}
	k := &kept{target: c, start: c.Start, value: clusterValue(c)}
	for _, p := range c.Nodes() {
		k.nodes = append(k.nodes, p)
	}
	return k, nil
}

func keepRabbitMQ(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	if nodes != 1 {
		return nil, fmt.Errorf("%w: a RabbitMQ has one node, and not %d", errUsage, nodes)
	}
	n, err := brokertest.KeepRabbitMQ(ctx, dir, &brokertest.RabbitMQOptions{Config: properties})
	return keptNode(n, err)
}

func openRabbitMQ(ctx context.Context, dir string) (*kept, error) {
	n, err := brokertest.OpenRabbitMQ(ctx, dir)
	return keptNode(n, err)
}

func keepLocalStack(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	if nodes != 1 {
		return nil, fmt.Errorf("%w: a LocalStack has one node, and not %d", errUsage, nodes)
	}
	return keptAWS(brokertest.KeepLocalStack(ctx, dir, &brokertest.LocalStackOptions{Env: properties}))
}

func openLocalStack(ctx context.Context, dir string) (*kept, error) {
	return keptAWS(brokertest.OpenLocalStack(ctx, dir))
}

func keepElasticMQ(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	if nodes != 1 {
		return nil, fmt.Errorf("%w: an ElasticMQ has one node, and not %d", errUsage, nodes)
	}
	opts := &brokertest.ElasticMQOptions{Persist: true} // a program that starts it again expects its data
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		opts.JVM = append(opts.JVM, "-D"+name+"="+properties[name])
	}
	return keptAWS(brokertest.KeepElasticMQ(ctx, dir, opts))
}

func openElasticMQ(ctx context.Context, dir string) (*kept, error) {
	return keptAWS(brokertest.OpenElasticMQ(ctx, dir))
}

func keepPubSub(ctx context.Context, dir string, nodes int, properties map[string]string) (*kept, error) {
	if nodes != 1 {
		return nil, fmt.Errorf("%w: a Pub/Sub emulator has one node, and not %d", errUsage, nodes)
	}
	var opts brokertest.PubSubOptions
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		opts.JVM = append(opts.JVM, "-D"+name+"="+properties[name])
	}
	return keptPubSub(brokertest.KeepPubSub(ctx, dir, &opts))
}

func openPubSub(ctx context.Context, dir string) (*kept, error) {
	return keptPubSub(brokertest.OpenPubSub(ctx, dir))
}

func keptPubSub(s *brokertest.PubSubServer, err error) (*kept, error) {
	if err != nil {
		return nil, err
	}
	return keptProcess(s.Process, s, s.Addr()), nil
}

func keptAWS(s *brokertest.AWSServer, err error) (*kept, error) {
	if err != nil {
		return nil, err
	}
	return keptProcess(s.Process, s, s.URL()), nil
}

func keptNode(n *brokertest.RabbitMQNode, err error) (*kept, error) {
	if err != nil {
		return nil, err
	}
	return keptProcess(n.Process, n, rabbitValue(n)), nil
}

// keptProcess wraps a broker that is one process.
func keptProcess(p *brokertest.Process, whole interface {
	target
	Start(ctx context.Context) error
}, value string) *kept {
	start := func(ctx context.Context) error {
		if p.Running() {
			return nil
		}
		return whole.Start(ctx)
	}
	return &kept{target: whole, start: start, nodes: []target{whole}, value: value}
}
