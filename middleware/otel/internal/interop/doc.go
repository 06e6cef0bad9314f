// Package interop tests telemetry on every adapter and its real broker: spans from the publish to
// the replay, lag, and traces that go through programs which speak only the transport's headers. It
// is a module of its own, so that what it needs stays out of the go.mod of users.
package interop
