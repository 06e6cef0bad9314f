package cases

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/load"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Env is the broker that is measured on, and what the cases share there.
type Env struct {
	url    string
	conn   *amqp.Connection // for set-ups
	short  bool
	names  *load.Names
	serial atomic.Int64
}

// NewEnv returns an Env on the broker at the URL. Short is for smoke tests.
func NewEnv(url string, short bool) (*Env, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	events := mostEvents
	if short {
		events = 2 * shortEvents
	}
	return &Env{url: url, conn: conn, short: short, names: load.NewNames(events)}, nil
}

// Close ends the connection.
func (e *Env) Close() error { return e.conn.Close() }

// place is an exchange and a queue that is bound to it.
type place struct {
	exchange, queue string
}

// place makes names that no other case of the run has: those that Leat gives to the group "group"
// of a topic.
func (e *Env) place() place {
	topic := fmt.Sprintf("bench-%d-%d", time.Now().UnixNano(), e.serial.Add(1))
	return place{exchange: topic, queue: topic + ".group"}
}

// create makes a durable exchange and queue, as one declares them by hand.
func (e *Env) create(p place, kind string) error {
	return e.do(func(ch *amqp.Channel) error {
		if err := ch.ExchangeDeclare(p.exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(p.queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: kind}); err != nil {
			return err
		}
		return ch.QueueBind(p.queue, "#", p.exchange, false, nil)
	})
}

// do calls f with a channel.
func (e *Env) do(f func(ch *amqp.Channel) error) error {
	ch, err := e.conn.Channel()
	if err != nil {
		return err
	}
	err = f(ch)
	if closed := ch.Close(); err == nil {
		err = closed
	}
	return err
}

// remove deletes what create has made.
func (e *Env) remove(p place) error {
	return e.do(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(p.queue, false, false, false)
		_, deadErr := ch.QueueDelete(p.queue+":dead", false, false, false) // Leat's; one that is not there is no error
		return errors.Join(err, deadErr, ch.ExchangeDelete(p.exchange, false, false))
	})
}

// stored waits until a queue has n messages, which a quorum queue counts a little later, and
// returns how many it has.
func (e *Env) stored(ctx context.Context, p place, n int) (stored int, err error) {
	for {
		err := e.do(func(ch *amqp.Channel) error {
			q, err := ch.QueueDeclarePassive(p.queue, true, false, false, false, nil)
			stored = q.Messages
			return err
		})
		if err != nil || stored >= n {
			return stored, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return stored, nil
		}
	}
}

// fill puts the first n events into a queue, in the order of their numbers.
func (e *Env) fill(ctx context.Context, p place, n int) error {
	conn, err := amqp.Dial(e.url)
	if err != nil {
		return err
	}
	_, err = publishAsync(ctx, e, conn, p.exchange, 0, n)
	return errors.Join(err, conn.Close())
}

// readBack checks that a queue has each of the first n events once. It is for smoke tests: the
// rounds that count have no time for it.
func (e *Env) readBack(p place, n int) error {
	return e.do(func(ch *amqp.Channel) error {
		a := load.NewArrivals(n, false)
		a.Expect(n)
		for range n {
			d, ok, err := ch.Get(p.queue, true)
			if err != nil || !ok {
				return errors.Join(err, fmt.Errorf("%d of %d events of %s were read back", a.Handled(), n, p.queue))
			}
			a.Handle(indexOf(d.Headers))
		}
		return a.Err()
	})
}
