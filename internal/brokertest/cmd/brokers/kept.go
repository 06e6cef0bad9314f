package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leatgo/leat/internal/brokertest"
)

// start makes a broker in a folder and starts it, or starts what does not run of the broker there.
// It goes on when this program ends.
func start(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the broker")
	broker := flags.String("broker", "", "kafka or rabbitmq; by default the one that the folder has, else kafka")
	nodes := flags.Int("nodes", 1, "how many nodes a Kafka has")
	properties := map[string]string{}
	flags.Func("property", "name=value, a line of server.properties or rabbitmq.conf; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("write name=value")
		}
		properties[name] = value
		return nil
	})
	if err := parse(flags, args, dir); err != nil {
		return err
	}
	if *broker == "" {
		*broker = keptBroker(*dir)
	}
	var (
		line string
		err  error
	)
	switch {
	case *broker == "kafka":
		line, err = startKafka(ctx, *dir, &brokertest.KafkaOptions{Nodes: *nodes, Properties: properties})
	case *broker == "rabbitmq" && *nodes == 1:
		line, err = startRabbitMQ(ctx, *dir, &brokertest.RabbitMQOptions{Config: properties})
	default:
		err = fmt.Errorf("%w: no broker %q with %d nodes", errUsage, *broker, *nodes)
	}
	if err == nil {
		_, err = fmt.Fprintln(os.Stdout, line)
	}
	return err
}

// keptBroker returns the kind of the broker in a folder, kafka where there is none.
func keptBroker(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "rabbitmq.json")); err == nil {
		return "rabbitmq"
	}
	return "kafka"
}

func startKafka(ctx context.Context, dir string, opts *brokertest.KafkaOptions) (string, error) {
	if err := brokertest.GetKafka(ctx, notice); err != nil {
		return "", err
	}
	c, err := brokertest.KeepKafka(ctx, dir, opts)
	if err != nil {
		return "", err
	}
	return brokertest.KafkaVariable + "=" + kafkaValue(c), c.Start(ctx)
}

func startRabbitMQ(ctx context.Context, dir string, opts *brokertest.RabbitMQOptions) (string, error) {
	if err := brokertest.GetRabbitMQ(ctx, notice); err != nil {
		return "", err
	}
	n, err := brokertest.KeepRabbitMQ(ctx, dir, opts)
	if err != nil {
		return "", err
	}
	line := brokertest.RabbitMQVariable + "=" + rabbitValue(n)
	if n.Running() {
		return line, nil
	}
	return line, n.Start(ctx)
}

// injure does to the broker in a folder, or to one of its nodes, what the verb says.
func injure(ctx context.Context, verb string, args []string) error {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the broker")
	node := flags.Int("node", 0, "the node, counted from 1; all by default")
	if err := parse(flags, args, dir); err != nil {
		return err
	}
	t, err := open(ctx, *dir, *node)
	if err != nil {
		return err
	}
	return apply(ctx, verb, t)
}

// open finds the broker in a folder, or one of its nodes.
func open(ctx context.Context, dir string, node int) (target, error) {
	rabbit, err := brokertest.OpenRabbitMQ(ctx, dir)
	if err == nil && node != 0 && node != 1 {
		return nil, fmt.Errorf("it has 1 node, and no node %d", node)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return rabbit, err
	}
	kafka, err := brokertest.OpenKafka(ctx, dir)
	if err != nil || node == 0 {
		return kafka, err
	}
	if node < 0 || node > len(kafka.Nodes()) {
		return nil, fmt.Errorf("it has %d nodes, and no node %d", len(kafka.Nodes()), node)
	}
	return kafka.Node(node), nil
}

// target is a broker or a cluster of them.
type target interface {
	Stop() error
	Kill()
	Restart(ctx context.Context) error
	Pause() error
	Resume() error
}

func apply(ctx context.Context, verb string, t target) error {
	switch verb {
	case "stop":
		return t.Stop()
	case "kill":
		t.Kill()
		return nil
	case "restart":
		return t.Restart(ctx)
	case "pause":
		return t.Pause()
	default:
		return t.Resume()
	}
}

// parse reads the flags, of which dir is needed.
func parse(flags *flag.FlagSet, args []string, dir *string) error {
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *dir == "" || flags.NArg() > 0 {
		return fmt.Errorf("%w: %s takes -dir and flags only", errUsage, flags.Name())
	}
	return nil
}
