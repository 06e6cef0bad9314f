// Package interop holds Leat against the Go SDK of CloudEvents: the same bytes are read, and the
// same events are written, by both, and every difference is one of a table. It also runs the
// conformance scenarios of the Kafka binding and a client of the SDK on a real Kafka. It is a
// module of its own, so that what this needs stays out of the go.mod of the bridge.
package interop
