// Package interop tests schema/confluent on a real Apicurio registry, and that Confluent's client
// for Python reads what Leat writes, and the other way round. It is a module of its own, so that
// the languages of schemas stay out of schema/confluent's go.mod.
package interop
