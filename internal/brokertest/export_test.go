package brokertest

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
