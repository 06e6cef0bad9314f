package main

import (
	"embed"
	"errors"
	"fmt"
	"strings"

	"github.com/leatgo/leat/internal/brokertest"
)

// programs has the files of programs that import a release. They are text, since they belong to
// modules that are made while a release is checked. main.txt is the README's example without its
// broker; each other file opens a broker for it.
//
//go:embed programs/*.txt
var programs embed.FS

// program says how the README's example runs on a released module.
type program struct {
	dir      string // of the module
	file     string // in programs
	variable string // names the variable with the address of the real broker that it needs
}

// allPrograms returns one for each released module.
func allPrograms() []program {
	return []program{
		{".", "memory", ""},
		{"adapters/awssnssqs", "awssnssqs", brokertest.LocalStackVariable},
		{"adapters/cloudevents", "cloudevents", ""},
		{"adapters/gcppubsub", "gcppubsub", brokertest.PubSubVariable},
		{"adapters/kafka", "kafka", brokertest.KafkaVariable},
		{"adapters/nats", "nats", brokertest.NATSVariable},
		{"adapters/rabbitmq", "rabbitmq", brokertest.RabbitMQVariable},
		{"adapters/watermill", "watermill", ""},
		{"adapters/watermill/amqp", "watermill-amqp", brokertest.RabbitMQVariable},
		{"adapters/watermill/googlecloud", "watermill-googlecloud", brokertest.PubSubVariable},
		{"adapters/watermill/kafka", "watermill-kafka", brokertest.KafkaVariable},
		{"middleware/otel", "otel", ""},
		{"middleware/prometheus", "prometheus", ""},
		{"schema/avro", "avro", ""},
		{"schema/confluent", "confluent", ""},
		{"schema/jsonschema", "jsonschema", ""},
		{"schema/protobuf", "protobuf", ""},
		{"schema/protovalidate", "protovalidate", ""},
	}
}

// source returns the Go files of the program by name, made of the README's text. Its topic and
// group end with suffix, so that a broker which has served before shows it nothing old.
func (p program) source(readme, suffix string) (map[string]string, error) {
	_, example, _ := strings.Cut(readme, "```go\n")
	example, _, _ = strings.Cut(example, "```")
	declarations, statements, ok := strings.Cut(example, "\nbroker := memory.New(nil)\n")
	if !ok {
		return nil, errors.New("the first Go block of README.md does not have the line \"broker := memory.New(nil)\" after declarations")
	}
	for _, name := range []string{"orders", "billing"} {
		quoted := fmt.Sprintf("%q", name)
		if !strings.Contains(example, quoted) {
			return nil, fmt.Errorf("the first Go block of README.md does not have %s", quoted)
		}
		replacement := fmt.Sprintf("%q", name+suffix)
		declarations = strings.ReplaceAll(declarations, quoted, replacement)
		statements = strings.ReplaceAll(statements, quoted, replacement)
	}
	files := map[string]string{}
	for name, file := range map[string]string{"main.go": "main", "broker.go": p.file} {
		text, err := programs.ReadFile("programs/" + file + ".txt")
		if err != nil {
			return nil, err
		}
		files[name] = strings.NewReplacer("// DECLARATIONS", declarations, "// STATEMENTS", statements).Replace(string(text))
	}
	return files, nil
}
