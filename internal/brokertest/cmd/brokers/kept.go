package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/leatgo/leat/internal/brokertest"
)

// start makes a Kafka in a folder and starts it, or starts those nodes of the Kafka there that do not run. It goes on when this program
// ends.
func start(ctx context.Context, args []string) error {
	var opts brokertest.KafkaOptions
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the Kafka")
	flags.IntVar(&opts.Nodes, "nodes", 1, "how many brokers it has")
	flags.Func("property", "name=value, a line of server.properties; may be repeated", func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("write name=value")
		}
		if opts.Properties == nil {
			opts.Properties = map[string]string{}
		}
		opts.Properties[name] = value
		return nil
	})
	if err := parse(flags, args, dir); err != nil {
		return err
	}
	if err := brokertest.GetKafka(ctx, notice); err != nil {
		return err
	}
	kafka, err := brokertest.KeepKafka(ctx, *dir, &opts)
	if err == nil {
		err = kafka.Start(ctx)
	}
	if err == nil {
		_, err = fmt.Fprintf(os.Stdout, "%s=%s\n", brokertest.KafkaVariable, strings.Join(kafka.Addrs(), ","))
	}
	return err
}

// injure does to the Kafka in a folder, or to one of its nodes, what the verb says.
func injure(ctx context.Context, verb string, args []string) error {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the Kafka")
	node := flags.Int("node", 0, "the broker, counted from 1; all by default")
	if err := parse(flags, args, dir); err != nil {
		return err
	}
	kafka, err := brokertest.OpenKafka(ctx, *dir)
	if err != nil {
		return err
	}
	if *node < 0 || *node > len(kafka.Nodes()) {
		return fmt.Errorf("it has %d nodes, and no node %d", len(kafka.Nodes()), *node)
	}
	if *node == 0 {
		return apply(ctx, verb, kafka)
	}
	return apply(ctx, verb, kafka.Node(*node))
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
