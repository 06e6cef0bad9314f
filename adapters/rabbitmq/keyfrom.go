package rabbitmq

import (
	"strings"

	"github.com/leatgo/leat/adapterkit/options"
	amqp "github.com/rabbitmq/amqp091-go"
)

// keyFrom is [Options].KeyFrom.
type keyFrom string

const (
	keyFromRoutingKey keyFrom = "routing_key"
	keyFromHeader     string  = "header:" // and its name
)

func (f keyFrom) validate() error {
	if name, ok := strings.CutPrefix(string(f), keyFromHeader); f == "" || f == keyFromRoutingKey || ok && name != "" {
		return nil
	}
	return options.Reason("KeyFrom is neither routing_key nor header: with the name of a header")
}

// key returns the key of a message, nil where it has none.
func (f keyFrom) key(m *amqp.Delivery) []byte {
	if f == "" {
		return nil
	}
	if name, ok := strings.CutPrefix(string(f), keyFromHeader); ok {
		return bytesOf(textOf(m.Headers[name]))
	}
	if _, moved := m.Headers[deliveriesHeader]; moved { // its routing key is the queue's name, and it had none before
		return nil
	}
	return bytesOf(m.RoutingKey)
}
