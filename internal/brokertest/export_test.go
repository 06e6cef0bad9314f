package brokertest

import "context"

// What black box tests need to look at a broker from outside, as a client or as the system would.
var (
	KafkaBrokers  = kafkaBrokers
	KafkaCall     = kafkaCall
	KafkaExchange = kafkaExchange
	Alive         = alive
	Fill          = fill
)

// EPMD returns the port mapper of a node.
func EPMD(n *RabbitMQNode) *Process { return n.epmd }

// NewProcess returns a process that is no broker, and can be used when ready returns nil.
func NewProcess(dir string, ready func(ctx context.Context) error, args ...string) *Process {
	return &Process{spec: spec{name: "program", dir: dir, args: args, ready: ready}}
}

// Standstill asks once whether a process can be used.
func Standstill(ctx context.Context, p *Process) string { return p.standstill(ctx) }
