// Package kafka lets Leat publish to and consume from Apache Kafka 2.4 or later, on franz-go:
//
//	broker, err := kafka.New(&kafka.Options{Hosts: []string{"localhost:9092"}})
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	producer := leat.NewProducer(broker, nil)
//
// A topic is a Kafka topic, a group a Kafka consumer group, and the event's Key the record's key,
// from which the partition follows as in the Java client. Events are records in CloudEvents binary
// mode (CloudEvents Kafka Protocol Binding 1.0.2): attributes in headers "ce_…", the data as the
// value.
//
// Publishes are idempotent and wait for all in-sync replicas. Groups read committed records only. A
// stream handles many keys of one partition at once, and commits for each partition the offset
// below which everything is settled; when a partition moves to another member, running handlers may
// finish and what finished is committed before it moves.
//
// New does not connect; the first call that needs the brokers does. See docs/kafka.md.
package kafka
