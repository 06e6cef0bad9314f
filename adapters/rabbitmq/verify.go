package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// verify returns all differences between what exists and a topology, beyond that it exists. A passive declare shows nothing of them, so it
// asks the management API; where there is none, the log says what was not verified.
//
// It prevents what nothing else shows: a queue that was made by hand without x-single-active-consumer
// gives one key to two handlers at once, one without the dead-letter strategy at-least-once can lose
// what it dead-letters, and one that is bound to another exchange gets nothing. Each looks healthy.
func (b *Broker) verify(ctx context.Context, t *topology) error {
	if b.management == nil {
		b.o.Logger.WarnContext(ctx, "RabbitMQ: exists, and is not verified further, which takes a ManagementURL",
			"exchange", t.exchange.Name, "queue", t.queue.Name, "not_verified", "kind, durability, arguments, bindings")
		return nil
	}
	d := &differences{}
	if err := b.verifyExchange(ctx, t, d); err != nil {
		return err
	}
	if !t.sub.Broadcast {
		if err := b.verifyQueue(ctx, t, d); err != nil {
			return err
		}
	}
	switch {
	case d.unordered:
		return t.unordered(errors.Join(d.found...))
	case d.ordered:
		return t.ordered(errors.Join(d.found...))
	}
	if len(d.found) > 0 {
		return topologyError(t.sub.Topic, leat.CodeConflict, "%w", errors.Join(d.found...))
	}
	return nil
}

// differences are what verify has found.
type differences struct {
	found     []error
	unordered bool // the queue cannot keep the order that is asked for
	ordered   bool // the queue keeps order that is to be given up
}

func (d *differences) add(what string, is, want any) {
	d.found = append(d.found, fmt.Errorf("%s is %v and should be %v", what, is, want))
}

// arguments compares all of want and is. One that is not there is "not set".
func (d *differences) arguments(what string, is map[string]any, want amqp.Table, ignore ...string) {
	all := maps.Clone(want)
	if all == nil {
		all = amqp.Table{}
	}
	for name := range is {
		all[name] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(ignore, name) {
			continue
		}
		if got, should := shown(is[name]), shown(want[name]); got != should {
			d.add("the argument "+name+" of "+what, got, should)
		}
	}
}

// shown is an argument as text: the API writes in JSON what the protocol has types for.
func shown(value any) string {
	if value == nil {
		return "not set"
	}
	if n, ok := value.(json.Number); ok {
		return n.String()
	}
	if i, ok := value.(int); ok {
		return strconv.Itoa(i)
	}
	return string(textOf(value))
}

func (b *Broker) verifyExchange(ctx context.Context, t *topology, d *differences) error {
	x := &t.exchange
	if x.Existing || x.predeclared() {
		return nil
	}
	var is struct {
		Type       string         `json:"type"`
		Durable    bool           `json:"durable"`
		AutoDelete bool           `json:"auto_delete"`
		Internal   bool           `json:"internal"`
		Arguments  map[string]any `json:"arguments"`
	}
	if err := b.management.get(ctx, &is, "exchanges", b.o.VHost, x.Name); err != nil {
		return managementError(t.sub.Topic, "exchange", x.Name, err)
	}
	what := fmt.Sprintf("the exchange %q", x.Name)
	if is.Type != x.Kind {
		d.add("the kind of "+what, is.Type, x.Kind)
	}
	for _, flag := range []struct {
		name     string
		is, want bool
	}{{"durable", is.Durable, x.Durable}, {"auto_delete", is.AutoDelete, x.AutoDelete}, {"internal", is.Internal, x.Internal}} {
		if flag.is != flag.want {
			d.add(flag.name+" of "+what, flag.is, flag.want)
		}
	}
	d.arguments(what, is.Arguments, x.Arguments)
	return nil
}

// queueState is what the API says of a queue.
type queueState struct {
	Type      string         `json:"type"`
	Durable   bool           `json:"durable"`
	Exclusive bool           `json:"exclusive"`
	Arguments map[string]any `json:"arguments"`
}

func (b *Broker) verifyQueue(ctx context.Context, t *topology, d *differences) error {
	q := &t.queue
	var is queueState
	if err := b.management.get(ctx, &is, "queues", b.o.VHost, q.Name); err != nil {
		return managementError(t.sub.Topic, "queue", q.Name, err)
	}
	single, _ := is.Arguments[argSingle].(bool)
	d.unordered, d.ordered = !t.sub.Unordered && !single, single && !t.single()
	what := fmt.Sprintf("the queue %q", q.Name)
	if kind, ok := q.Arguments[argType].(string); ok && is.Type != kind { // which may be the virtual host's default
		d.add("the type of "+what, is.Type, kind)
	}
	if q.Existing {
		if single != t.single() {
			d.add("the argument "+argSingle+" of "+what, single, t.single())
		}
		return nil
	}
	if is.Durable != q.Durable {
		d.add("durable of "+what, is.Durable, q.Durable)
	}
	d.arguments(what, is.Arguments, q.Arguments, argType)
	if q.DeadLetterQueue != "" {
		if err := b.management.get(ctx, &queueState{}, "queues", b.o.VHost, q.DeadLetterQueue); err != nil {
			return managementError(t.sub.Topic, "queue", q.DeadLetterQueue, err)
		}
	}
	return b.verifyBindings(ctx, t, d)
}

// verifyBindings looks for the bindings that the queue should have. Others may be there too.
func (b *Broker) verifyBindings(ctx context.Context, t *topology, d *differences) error {
	if t.exchange.Name == "" || len(t.queue.Keys) == 0 {
		return nil
	}
	var bindings []struct {
		Key string `json:"routing_key"`
	}
	if err := b.management.get(ctx, &bindings, "bindings", b.o.VHost, "e", t.exchange.Name, "q", t.queue.Name); err != nil {
		return managementError(t.sub.Topic, "queue", t.queue.Name, err)
	}
	for _, key := range t.queue.Keys {
		bound := false
		for _, binding := range bindings {
			bound = bound || binding.Key == key
		}
		if !bound {
			d.found = append(d.found, fmt.Errorf("the queue %q is not bound to the exchange %q with the routing key %q",
				t.queue.Name, t.exchange.Name, key))
		}
	}
	return nil
}
