// Package rabbit is what the adapters that talk to RabbitMQ know about it, without its client.
package rabbit

import (
	"fmt"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// DeadSuffix is what the name of a queue's dead-letter queue has at its end.
const DeadSuffix = ":dead"

// The arguments of queues that decide what they can hold. Those that the client names have its
// names here too.
const (
	ArgType     = "x-queue-type"
	ArgSingle   = "x-single-active-consumer"
	ArgLimit    = "x-delivery-limit"
	ArgDeadTo   = "x-dead-letter-exchange"
	ArgDeadKey  = "x-dead-letter-routing-key"
	ArgDeadHow  = "x-dead-letter-strategy"
	ArgOverflow = "x-overflow"

	Quorum        = "quorum"
	AtLeastOnce   = "at-least-once"
	RejectPublish = "reject-publish" // which AtLeastOnce needs
)

// DeliveryLimit is how often a queue delivers a message again before it is a dead letter: RabbitMQ
// 4's own is 20, and every lost connection counts.
const DeliveryLimit = 100_000

// GroupArguments are those of the quorum queue of a group. With order, one member gets messages at
// a time.
func GroupArguments(limit int, ordered bool) map[string]any {
	a := map[string]any{ArgType: Quorum, ArgLimit: int64(limit), ArgDeadHow: AtLeastOnce, ArgOverflow: RejectPublish}
	if ordered {
		a[ArgSingle] = true
	}
	return a
}

// DeadLetterArguments are those of a dead-letter queue. It has a limit too: without one, RabbitMQ 4
// drops a message that somebody who looks at it gives back 20 times.
func DeadLetterArguments(limit int) map[string]any {
	return map[string]any{ArgType: Quorum, ArgLimit: int64(limit)}
}

// LongestName is the length in bytes of a name, a routing key and a property (AMQP 0-9-1,
// shortstr).
const LongestName = 255

// CheckName returns what is wrong with the name of something, such as a queue.
func CheckName(what, name string) error {
	if len(name) <= LongestName {
		return nil
	}
	return fmt.Errorf("the name of the %s, %.40q and so on, has %d bytes; at most %d are allowed: use a shorter topic or group",
		what, name, len(name), LongestName)
}

// SilentClose is less than what RabbitMQ waits before it ends a connection whose credentials it
// refuses, without a word. A broker that is killed during the login does not wait.
const SilentClose = 2 * time.Second

// QueueName returns the name of a group's queue. Names of topics and groups have no colon, and a
// group after a dot has no dot, so it is clear where the topic ends.
func QueueName(topic, group string) string {
	if strings.Contains(group, ".") {
		return topic + ":" + group
	}
	return topic + "." + group
}

// Code returns what an error of the broker means: a reply code of AMQP 0-9-1 and its text.
func Code(reply int, reason string) leat.Code {
	switch reply {
	case 311: // content too large
		return leat.CodeTooLarge
	case 312, 402, 404: // no route, a virtual host that does not exist, not found
		return leat.CodeNotFound
	case 403: // access refused
		if strings.Contains(reason, "Login was refused") { // "using authentication mechanism PLAIN"
			return leat.CodeUnauthenticated
		}
		return leat.CodePermissionDenied
	case 405: // a queue that is exclusive elsewhere
		return leat.CodeConflict
	case 406: // precondition failed
		if strings.Contains(reason, "message size") { // "is larger than configured max size"
			return leat.CodeTooLarge
		}
		return leat.CodeConflict
	case 502, 503: // syntax error, command invalid
		return leat.CodeInvalid
	case 506: // resource error
		return leat.CodeExhausted
	case 530:
		return notAllowed(reason)
	case 540: // not implemented
		return leat.CodeUnsupported
	}
	return leat.CodeUnavailable // 320, 501, 541, and what a client says when the connection is gone
}

// notAllowed is for the reply by which the broker refuses a virtual host or a limit.
func notAllowed(reason string) leat.Code {
	switch {
	case strings.Contains(reason, "not found"):
		return leat.CodeNotFound
	case strings.Contains(reason, "limit"):
		return leat.CodeExhausted
	case strings.Contains(reason, "access to vhost"), strings.Contains(reason, "access refused"):
		return leat.CodePermissionDenied
	}
	return leat.CodeUnsupported
}
