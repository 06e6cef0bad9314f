// Package foreign reads messages that are not valid CloudEvents, so that a consumer handles them
// instead of poisoning them.
package foreign
