// Package load has what the benchmarks on real brokers have in common: the events that every party
// sends, the handler that counts them, and Leat's own parties, which are the same on every broker.
package load
