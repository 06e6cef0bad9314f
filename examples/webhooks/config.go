package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/adapters/rabbitmq"
)

// brokers is the one place that names adapters. A further broker is one more line.
var brokers = leat.Openers{
	"mem":   memory.Open,
	"kafka": kafka.Open,
	"amqp":  rabbitmq.Open,
	"amqps": rabbitmq.Open,
	"nats":  nats.Open,
	"tls":   nats.Open,

	"awssnssqs": awssnssqs.Open,
	"gcppubsub": gcppubsub.Open,
}

// The parts of the program, as -run names them; each service is one more.
const (
	partAll     = "all"
	partPublish = "publish"
	partPoison  = "poison"
	partCheck   = "check"
)

// config is what the flags say.
type config struct {
	broker  string
	topic   string
	dir     string
	part    string
	ledger  string
	out     string
	repeat  int
	prefix  string
	pace    time.Duration
	timeout time.Duration
	verbose bool
}

func parseConfig(args []string, stderr io.Writer) (*config, error) {
	c := &config{}
	parts := append([]string{partAll, partPublish}, append(serviceNames(), partPoison, partCheck)...)
	f := flag.NewFlagSet("webhooks", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.broker, "broker", "mem://", "`URL` of the broker")
	f.StringVar(&c.topic, "topic", "github.webhooks", "topic to publish to; take a fresh one for each run on a broker that keeps events")
	f.StringVar(&c.dir, "dir", "", "`folder` of deliveries, <event>/<name>.json (default: those in the program)")
	f.StringVar(&c.part, "run", partAll, "`part` to run in this process: "+strings.Join(parts, ", "))
	f.StringVar(&c.ledger, "ledger", "", "`folder` for the ledger files, which -run check compares; required for a single part")
	f.StringVar(&c.out, "out", "", "`folder` for what the services write: audit.jsonl and flow.mmd (default: nothing is written)")
	f.IntVar(&c.repeat, "repeat", 1, "how often to publish every delivery")
	f.StringVar(&c.prefix, "prefix", "", "put before every event id, so that several publishers can share a ledger")
	f.DurationVar(&c.pace, "pace", 0, "pause between two publishes")
	f.DurationVar(&c.timeout, "timeout", time.Minute, "how long publishing and settling may take; a single service runs until Ctrl-C")
	f.BoolVar(&c.verbose, "verbose", false, "log every attempt and what the library reports to standard error")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case !slices.Contains(parts, c.part):
		return nil, fmt.Errorf("-run %q is none of %s", c.part, strings.Join(parts, ", "))
	case c.part != partAll && c.ledger == "":
		return nil, fmt.Errorf("-run %s needs -ledger, the folder that all parts share", c.part)
	case c.repeat < 1 || c.pace < 0 || c.timeout <= 0:
		return nil, errors.New("-repeat must be at least 1, -timeout positive and -pace not negative")
	case c.part != partAll && c.part != partCheck && strings.HasPrefix(c.brokerName(), "mem:"):
		return nil, fmt.Errorf("-run %s: the broker mem:// lives in one process, so that the parts would not meet; "+
			"give a broker that processes share, or use -run %s", c.part, partAll)
	}
	return c, nil
}

// makeDirs creates the folders that the program writes to.
func (c *config) makeDirs() error {
	for _, dir := range []string{c.ledger, c.out} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}
