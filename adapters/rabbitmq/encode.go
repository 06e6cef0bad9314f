package rabbitmq

import (
	"errors"

	"github.com/leatgo/leat"
	amqp "github.com/rabbitmq/amqp091-go"
)

// encoder turns events into messages. It is used by one goroutine at a time; what it returns is valid until the next call, which uses the
// same memory: amqp091-go has written a message when its publish returns.
type encoder struct {
	structured bool
	frameBytes int // the connection's frame_max, 0 where there is none
}

// encode returns the message of an event. Its CorrelationId is left for the publisher. The error is an [*leat.Error], and certain:
// nothing was sent.
func (n *encoder) encode(e leat.Event) (amqp.Publishing, error) {
	return amqp.Publishing{}, errors.New("not there yet")
}

// routingKey returns the routing key of an event.
func (o *Options) routingKey(topic string, e leat.Event) (string, error) {
	return e.Type(), nil
}
