// Command kafka measures Leat's Kafka adapter beside the native client and the usual peers, on a
// real Kafka, and writes the result as Markdown.
//
//	go run . -out README.md
//
// README.md in this directory says how it measures.
package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/benchmarks/kafka/internal/cases"
	"github.com/leatgo/leat/internal/brokertest"
)

func main() {
	var f command.Flags
	f.Register(flag.CommandLine)
	brokers := flag.String("brokers", "", "measure on the Kafka at these addresses, host:port separated by commas, instead of starting one")
	soak := flag.Duration("soak", 30*time.Second, "how long to watch the memory of a producer and a consumer at full rate; 0 leaves it out")
	flag.Parse()
	command.Main("benchmarks/kafka", func(ctx context.Context) error { return measure(ctx, f, *brokers, *soak) })
}

// measure runs the benchmarks on the Kafka at the addresses, or on one of its own.
func measure(ctx context.Context, f command.Flags, brokers string, soak time.Duration) (err error) {
	if brokers != "" {
		return run(ctx, f, strings.Split(brokers, ","), "a Kafka at "+brokers, soak)
	}
	kafka, err := brokertest.RunKafka(ctx, &brokertest.KafkaOptions{
		Heap: "1g",
		JVM:  []string{"-XX:TieredStopAtLevel=4"},
		Properties: map[string]string{
			"log.retention.check.interval.ms": "2000", // the soak's old events go soon
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Close()) }()
	return run(ctx, f, kafka.Addrs(),
		"Apache Kafka "+brokertest.KafkaVersion+", one node on the same machine, with the JVM's C2 compiler and a heap of 1 GiB", soak)
}

// run runs the benchmarks on the Kafka at the addresses, which the report describes as what.
func run(ctx context.Context, f command.Flags, addrs []string, what string, soak time.Duration) (err error) {
	env, err := cases.NewEnv(addrs, f.Short)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	if f.Group == "soak" {
		section, _, err := env.Soak(ctx, soak, f.Progress)
		if err == nil {
			_, err = f.Stdout.Write(section)
		}
		return err
	}
	p := &command.Program{
		Groups: env.All(),
		Modules: []string{
			"github.com/twmb/franz-go", "github.com/IBM/sarama",
			"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-kafka/v3",
			"github.com/cloudevents/sdk-go/v2", "github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2",
		},
		Machine: []string{what},
	}
	if soak > 0 {
		p.After = func(ctx context.Context) ([]byte, bool, error) {
			return env.Soak(ctx, soak, f.Progress)
		}
	}
	return p.Run(ctx, f)
}
