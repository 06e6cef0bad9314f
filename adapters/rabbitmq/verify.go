package rabbitmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// verify returns all differences between what exists and a topology, beyond that it exists. A
// passive declare shows nothing of them, so it asks the management API; where there is none, the
// log says what was not verified.
//
// It prevents what nothing else shows: a queue that was made by hand without
// x-single-active-consumer gives one key to two handlers at once, one without the dead-letter
// strategy at-least-once can lose what it dead-letters, and one that is bound to another exchange
// gets nothing. Each looks healthy.
func (b *Broker) verify(ctx context.Context, t *topology) error {
	if b.management == nil {
		b.o.Logger.WarnContext(ctx, "RabbitMQ: exists, and is not verified further, which takes a ManagementURL",
			"exchange", t.exchange.Name, "queue", t.queue.Name, "not_verified", "kind, durability, arguments, bindings")
		return nil
	}
	d := &differences{}
	err := b.verifyExchange(ctx, t, d)
	if err == nil && t.sub.Group != "" {
		err = b.verifyQueue(ctx, t, d)
	}
	found := errors.Join(d.found...)
	switch {
	case err != nil:
		return err
	case d.unordered:
		return t.unordered(found)
	case d.ordered:
		return t.ordered(found)
	case found != nil:
		return topologyError(t.sub.Topic, leat.CodeConflict, "%w", found)
	}
	return nil
}

// differences are what verify has found.
type differences struct {
	found     []error
	unordered bool // the queue cannot keep the order that is asked for
	ordered   bool // the queue keeps order that is to be given up
}

func (d *differences) compare(what string, is, want any) {
	if is != want {
		d.found = append(d.found, fmt.Errorf("%s is %v and should be %v", what, is, want))
	}
}

// arguments compares all of want and is. One that is not there is "not set".
func (d *differences) arguments(what string, is map[string]any, want amqp.Table) {
	all := map[string]any{}
	maps.Copy(all, is)
	maps.Copy(all, want)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d.compare("the argument "+name+" of "+what, shown(is[name]), shown(want[name]))
	}
}

// shown is an argument as text: the API writes in JSON what the protocol has types for.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "not set"
	case json.Number, int:
		return fmt.Sprint(v)
	}
	return string(textOf(value))
}

// object is what the API says of an exchange or a queue.
type object struct {
	Type       string         `json:"type"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Internal   bool           `json:"internal"`
	Arguments  map[string]any `json:"arguments"`
}

// look asks the API for an exchange or a queue.
func (b *Broker) look(ctx context.Context, t *topology, what, name string) (is object, err error) {
	return is, b.management.ask(ctx, t, what, name, &is, what+"s", b.o.VHost, name)
}

func (b *Broker) verifyExchange(ctx context.Context, t *topology, d *differences) error {
	x := &t.exchange
	if x.Existing || x.predeclared() {
		return nil
	}
	is, err := b.look(ctx, t, "exchange", x.Name)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the exchange %q", x.Name)
	d.compare("the kind of "+what, is.Type, x.Kind)
	d.compare("durable of "+what, is.Durable, x.Durable)
	d.compare("auto_delete of "+what, is.AutoDelete, x.AutoDelete)
	d.compare("internal of "+what, is.Internal, x.Internal)
	d.arguments(what, is.Arguments, x.Arguments)
	return nil
}

func (b *Broker) verifyQueue(ctx context.Context, t *topology, d *differences) error {
	q := &t.queue
	is, err := b.look(ctx, t, "queue", q.Name)
	if err != nil {
		return err
	}
	what, want := fmt.Sprintf("the queue %q", q.Name), maps.Clone(q.Arguments)
	single, _ := is.Arguments[rabbit.ArgSingle].(bool)
	d.unordered, d.ordered = !t.sub.Unordered && !single && !t.turns(), single && !t.single()
	if kind, ok := want[rabbit.ArgType].(string); ok {
		d.compare("the type of "+what, is.Type, kind) // which may be the virtual host's default, and no argument
	}
	if q.Existing {
		d.compare("the argument "+rabbit.ArgSingle+" of "+what, single, t.single())
		return nil
	}
	d.compare("durable of "+what, is.Durable, q.Durable)
	delete(want, rabbit.ArgType)
	delete(is.Arguments, rabbit.ArgType)
	d.arguments(what, is.Arguments, want)
	if q.DeadLetterQueue != "" {
		if _, err := b.look(ctx, t, "queue", q.DeadLetterQueue); err != nil {
			return err
		}
	}
	return b.verifyBindings(ctx, t, d)
}

// verifyBindings looks for the bindings that the queue should have. Others may be there too.
func (b *Broker) verifyBindings(ctx context.Context, t *topology, d *differences) error {
	if t.exchange.Name == "" || len(t.queue.Keys) == 0 {
		return nil
	}
	type binding struct {
		Key string `json:"routing_key"`
	}
	var bindings []binding
	err := b.management.ask(ctx, t, "queue", t.queue.Name, &bindings, "bindings", b.o.VHost, "e", t.exchange.Name, "q", t.queue.Name)
	if err != nil {
		return err
	}
	for _, key := range t.queue.Keys {
		if !slices.Contains(bindings, binding{key}) {
			d.found = append(d.found, fmt.Errorf("the queue %q is not bound to the exchange %q with the routing key %q",
				t.queue.Name, t.exchange.Name, key))
		}
	}
	return nil
}
