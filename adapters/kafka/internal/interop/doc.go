// Package interop tests on a real Kafka that others read what adapters/kafka writes, and the other
// way round: the Go SDK of CloudEvents, Watermill and Kafka's own Java tools. It is a module of its
// own, so that what they need stays out of the adapter's go.mod.
package interop
