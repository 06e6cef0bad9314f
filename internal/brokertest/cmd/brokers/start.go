package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// start makes a broker in a folder and starts it, or starts what does not run of the broker there.
// It goes on when this program ends.
func start(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the broker")
	broker := flags.String("broker", "",
		"kafka, rabbitmq, nats, localstack, elasticmq or pubsub; by default the one that the folder has, else kafka")
	nodes := flags.Int("nodes", 1, "how many nodes a Kafka or a NATS has")
	properties := map[string]string{}
	const property = "name=value, a line of server.properties, rabbitmq.conf or nats.conf, a variable of LocalStack, " +
		"or a property of Java for ElasticMQ and Pub/Sub; may be repeated"
	flags.Func("property", property, func(text string) error {
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
	k := kinds()[0]
	if found, err := kindIn(*dir); err == nil {
		k = found
	}
	if *broker != "" {
		i := slices.IndexFunc(kinds(), func(k kind) bool { return k.flag == *broker })
		if i < 0 {
			return fmt.Errorf("%w: there is no broker %q", errUsage, *broker)
		}
		k = kinds()[i]
	}
	return k.startIn(ctx, *dir, *nodes, properties)
}

// startIn starts a broker in a folder and prints the variable that names it.
func (k kind) startIn(ctx context.Context, dir string, nodes int, properties map[string]string) error {
	if err := k.get(ctx, notice); err != nil {
		return err
	}
	broker, err := k.keep(ctx, dir, nodes, properties)
	if err != nil {
		return err
	}
	if err := broker.start(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, k.variable+"="+broker.value)
	return err
}

// kindIn returns the kind of the broker in a folder. Where there is none, the error wraps
// fs.ErrNotExist.
func kindIn(dir string) (kind, error) {
	for _, k := range kinds() {
		if _, err := os.Stat(filepath.Join(dir, k.flag+".json")); err == nil {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("no broker was started in %s: %w", dir, fs.ErrNotExist)
}

// injure does to the broker in a folder, or to one of its nodes, what the verb says.
func injure(ctx context.Context, verb string, args []string) error {
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "the folder of the broker")
	node := flags.Int("node", 0, "the node, counted from 1; all by default")
	if err := parse(flags, args, dir); err != nil {
		return err
	}
	k, err := kindIn(*dir)
	if err != nil {
		return err
	}
	broker, err := k.open(ctx, *dir)
	if err != nil {
		return err
	}
	t, err := broker.node(*node)
	if err != nil {
		return err
	}
	return apply(ctx, verb, t)
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
