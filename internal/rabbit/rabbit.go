// Package rabbit is what the adapters that talk to RabbitMQ know about it, without its client.
package rabbit

import (
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// DeadSuffix is what the name of a queue's dead-letter queue has at its end.
const DeadSuffix = ":dead"

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
