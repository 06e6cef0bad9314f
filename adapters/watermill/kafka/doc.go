// Package kafka is Leat over watermill-kafka, configured so that it loses nothing. It is for
// services that have to stay with watermill-kafka; for all others, adapters/kafka is the better way
// to Kafka: it confirms and handles many events of a partition at a time.
//
//	broker, err := kafka.New(&kafka.Options{Hosts: []string{"localhost:9092"}})
//
// What differs from watermill-kafka's own defaults: publishes are idempotent and wait for all
// in-sync replicas; a group begins with the oldest record; a record of any form becomes a message,
// so that none stops its partition; an event without a key has no record key, instead of an empty
// one that sends all of them to one partition; keys choose partitions as in the Java client and in
// adapters/kafka.
//
// What cannot be configured: one message of a partition is handled at a time; an ended handler
// whose partition was moved in a rebalance is not told; and a publish that hangs cannot be ended
// before sarama gives up.
package kafka
