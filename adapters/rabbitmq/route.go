package rabbitmq

import (
	"strings"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// route is what the broker takes messages for, or does not: a topic, or a routing key of a topic of
// which it refuses some.
type route struct {
	topic, key string
	byKey      bool
}

// mostRoutes is how many routes are known to be taken. Where there are more, they are found out
// again.
const mostRoutes = 4096

// routeOf returns the route of an entry. The lock is held.
func (p *publisher) routeOf(e *entry) route {
	if len(p.byKey) > 0 && p.byKey[e.Topic()] {
		return route{topic: e.Topic(), key: e.Value.key, byKey: true}
	}
	return route{topic: e.Topic()}
}

// isByKey reports whether the broker has refused a routing key, by RabbitMQ's topic permissions,
// and not the exchange.
func isByKey(cause *amqp.Error) bool {
	return cause != nil && cause.Server && cause.Code == amqp.AccessRefused && !strings.Contains(cause.Reason, "access to exchange")
}

// refuseLike refuses what is in a lane and would be refused for the same reason as e.
func (p *publisher) refuseLike(i int, e *entry, cause *amqp.Error, refusal error) {
	if code := amqpCode(cause); code != leat.CodeNotFound && code != leat.CodePermissionDenied {
		return
	}
	byKey := isByKey(cause)
	p.lanes[i].queue.Refuse(refusal, func(other *entry) bool {
		return other.Topic() == e.Topic() && (!byKey || other.Value.key == e.Value.key)
	})
}

// forget is the end of an outlet. Whether the broker takes what had no answer is to be found out
// again, of each routing key where it has refused one.
func (p *publisher) forget(t *outlet, open []*entry, cause *amqp.Error) {
	byKey := isByKey(cause)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range open {
		delete(p.proven, p.routeOf(e))
		if byKey {
			p.byKey[e.Topic()] = true
		}
	}
	if p.lanes[t.lane].outlet == t {
		p.lanes[t.lane].outlet = nil
	}
}
