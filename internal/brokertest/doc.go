// Package brokertest gives tests real brokers: it fetches them, starts them as private child
// processes on 127.0.0.1, injures them, and leaves nothing behind. It is for the tests of this
// repository's modules; nothing public imports it.
//
// A test that only needs a broker shares one:
//
//	func TestMain(m *testing.M) { brokertest.Main(m) }
//
//	func TestPublish(t *testing.T) {
//		seeds := brokertest.Kafka(t) // "127.0.0.1:17023"
//		...
//	}
//
// A test that injures its broker has one of its own:
//
//	kafka := brokertest.StartKafka(t, &brokertest.KafkaOptions{Nodes: 3})
//	kafka.Node(2).Kill()
//	...
//	require.NoError(t, kafka.Node(2).Start(t.Context()))
//
// RabbitMQ and StartRabbitMQ do the same for RabbitMQ:
//
//	node := brokertest.StartRabbitMQ(t, nil)
//	...
//	require.NoError(t, node.Sync(t.Context())) // behind the declaration of a quorum queue
//	node.Kill()
//
// NATS and StartNATS do it for NATS with JetStream, of one node or of a cluster. LocalStack and
// StartLocalStack do it for SNS and SQS as LocalStack has them, ElasticMQ and StartElasticMQ for
// SQS as ElasticMQ has it. PubSub and StartPubSub have the emulator of Google Cloud Pub/Sub.
// Apicurio and StartApicurio have a registry of schemas with Confluent's API.
//
// # Where a broker comes from
//
// Kafka needs Java 17 and, the first time, Maven. RabbitMQ is that of the machine where Debian's
// package is installed; else the packages are fetched by apt-get and unpacked, which any user may
// do. LEAT_RABBITMQ_SUITE=trixie takes them from that release of Debian, with RabbitMQ 4. NATS is
// built by Go, from its module. LocalStack needs Python 3.11, which installs it into an
// environment of its own; ElasticMQ needs what Kafka needs. So does the Pub/Sub emulator, which is
// copied from gcloud, since only Google's own package repository has it. Apicurio needs Java 21.
// What was fetched is kept in the user's cache folder, or in the folder that LEAT_BROKERS_DIR
// names.
//
// LEAT_TEST_KAFKA, a comma-separated list of host:port, and LEAT_TEST_RABBITMQ, a URL and behind a
// comma that of the management API, and LEAT_TEST_NATS, a list of host:port, and
// LEAT_TEST_LOCALSTACK and LEAT_TEST_ELASTICMQ, a URL each, and LEAT_TEST_PUBSUB, a host:port,
// name a broker to share instead of starting one; "make test" sets them for all packages. So does
// LEAT_TEST_APICURIO, a URL, which "make test" leaves alone: one package needs it. The value "off"
// skips every test that asks for that broker.
//
// A test whose broker cannot be had is skipped and says which command to run. Where CI is set it
// fails.
//
// # No process is left behind
//
// Each broker has a watchdog, a shell that waits for the end of a pipe whose other end the test
// process holds. When the test process ends, in whatever way, the watchdog kills the broker and
// removes its folder.
package brokertest
