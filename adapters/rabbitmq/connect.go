package rabbitmq

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
)

// withChannel calls f with a channel of its own on the connection for publishes and requests.
func (b *Broker) withChannel(ctx context.Context, op, topic string, f func(ch *amqp.Channel) error) error {
	conn, err := b.dial(ctx, "requests")
	if err != nil {
		return fail(ctx, op, topic, err)
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ch, err := conn.Channel()
	if err != nil {
		return fail(ctx, op, topic, err)
	}
	return f(ch)
}

// dial connects to the first host.
func (b *Broker) dial(ctx context.Context, purpose string) (*amqp.Connection, error) {
	c := amqp.Config{
		Vhost: b.o.VHost, Heartbeat: b.o.Heartbeat, TLSClientConfig: b.o.TLS.Clone(), Dial: amqp.DefaultDial(b.o.DialTimeout),
		Properties: amqp.Table{"connection_name": b.o.ConnectionName + " " + purpose},
	}
	url := "amqp://" + b.o.Hosts[0]
	if b.o.TLS != nil {
		url = "amqps://" + b.o.Hosts[0]
	}
	if b.o.External {
		c.SASL = []amqp.Authentication{&amqp.ExternalAuth{}}
	} else {
		user, password, err := b.o.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		c.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}
	}
	return amqp.DialConfig(url, c)
}

func (b *Broker) illness() []error { return nil }

func (b *Broker) closeConnections() {}
