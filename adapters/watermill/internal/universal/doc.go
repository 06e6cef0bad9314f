// Package universal runs Watermill's own universal test suite on the brokers of Leat taken as
// Watermill Pub/Subs. It is a module of its own, so that users of the adapter do not inherit the
// brokers.
//
// runs_test.go is the table of the runs with their flags; docs/watermill.md shows it, with the
// reason for everything that is skipped.
package universal
