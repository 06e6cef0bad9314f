package brokertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keptKafka is what the file kafka.json in the folder of a Kafka says, so that another program can go on with it.
type keptKafka struct {
	Options KafkaOptions
	Ports   [][]int // of each node, in the order of kafkaNode
}

// KeepKafka makes a Kafka in a folder, which goes on when this program ends. It does not start it. Where the folder has a Kafka already it
// is OpenKafka, and the options are left aside.
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
	text, err := json.MarshalIndent(kept, "", "\t") //nolint:musttag // only this package reads it again
	if err != nil {
		return nil, err
	}
	return c, os.WriteFile(filepath.Join(dir, "kafka.json"), text, 0o600)
}

// OpenKafka returns the Kafka that KeepKafka has made in a folder, whether its nodes run or not.
func OpenKafka(ctx context.Context, dir string) (*KafkaCluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "kafka.json"))
	if err != nil {
		return nil, fmt.Errorf("no Kafka was started in %s: %w", dir, err)
	}
	var kept keptKafka
	if err := json.Unmarshal(text, &kept); err != nil { //nolint:musttag // as above
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "kafka.json"), err)
	}
	kit, err := getKafka(ctx, func(string) {})
	if err != nil {
		return nil, err
	}
	c := &KafkaCluster{opts: kept.Options, whole: true}
	c.place(dir, kept.Ports)
	for _, n := range c.nodes {
		p := n.process(kit, &c.opts, nil, c.want)
		p.adopt(ctx)
		c.processes = append(c.processes, p)
	}
	return c, nil
}
