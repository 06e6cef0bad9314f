package brokertest

// What black box tests need to look at a broker from outside, as a client or as the system would.
var (
	KafkaBrokers  = kafkaBrokers
	KafkaCall     = kafkaCall
	KafkaExchange = kafkaExchange
	Alive         = alive
	Fill          = fill
)
