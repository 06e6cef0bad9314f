package brokertest

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// keptKafka is what the file kafka.json in the folder of a Kafka says, so that another program can
// go on with it.
type keptKafka struct {
	Options KafkaOptions
	Ports   [][]int // of each node, in the order of kafkaNode
}

const kafkaKeptFile = "kafka.json"

// KeepKafka makes a Kafka in a folder, which goes on when this program ends. It does not start it.
// Where the folder has a Kafka already it is OpenKafka, and the options are left aside.
func KeepKafka(ctx context.Context, dir string, opts *KafkaOptions) (*KafkaCluster, error) {
	c, err := OpenKafka(ctx, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	kit, err := getKafka(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if opts == nil {
		opts = &KafkaOptions{}
	}
	c = &KafkaCluster{opts: *opts}
	if err := c.furnish(ctx, kit, dir); err != nil {
		return nil, err
	}
	kept := keptKafka{Options: c.opts}
	for _, n := range c.nodes {
		kept.Ports = append(kept.Ports, n.ports)
	}
	return c, keep(dir, kafkaKeptFile, kept)
}

// OpenKafka returns the Kafka that KeepKafka has made in a folder, whether its nodes run or not.
func OpenKafka(ctx context.Context, dir string) (*KafkaCluster, error) {
	var kept keptKafka
	dir, err := openKept(dir, kafkaKeptFile, &kept)
	if err != nil {
		return nil, err
	}
	kit, err := getKafka(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	c := &KafkaCluster{cluster: cluster{whole: true}, opts: kept.Options}
	c.place(dir, kept.Ports)
	for _, n := range c.nodes {
		p := n.process(kit, &c.opts, nil, c.want)
		p.adopt(ctx)
		c.processes = append(c.processes, p)
	}
	return c, nil
}
