package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// poisons are messages that a library may not understand, at the head of the queue.
func poisons() []Scenario {
	const what = " It is delivered first, five good messages behind it. It must not be delivered again more than ten times a second, and " +
		"the others must be handled within a second."
	return []Scenario{{
		Name: "odd-header", Title: "Poison: headers that are no strings",
		What: "A message of the library's own has a number, a date and a table among its headers, as other programs and RabbitMQ's plugins " +
			"write them." + what,
		run: poison(func(m *amqp.Publishing) {
			m.Headers["attempt"] = int32(3)
			m.Headers["at"] = time.Unix(1_700_000_000, 0)
			m.Headers["history"] = []any{amqp.Table{"count": int64(1), "reason": "rejected"}}
		}),
	}, {
		Name: "odd-metadata", Title: "Poison: malformed metadata",
		What: "All headers of a message of the library's own have the number 7 as their value." + what,
		run: poison(func(m *amqp.Publishing) {
			for name := range m.Headers {
				m.Headers[name] = int64(7)
			}
		}),
	}, {
		Name: "foreign", Title: "Poison: a message of another program",
		What: "A message has no headers and no properties." + what,
		run: poison(func(m *amqp.Publishing) {
			*m = amqp.Publishing{Body: m.Body, DeliveryMode: amqp.Persistent}
		}),
	}}
}

// odd is the id of the message that a library may not understand.
const odd = "odd"

func poison(change func(m *amqp.Publishing)) func(ctx context.Context, e *env) (Result, error) {
	return func(ctx context.Context, e *env) (Result, error) {
		t := e.target()
		u, err := url.Parse(t.URL)
		if err != nil {
			return Result{}, err
		}
		w, err := newWire(ctx, u.Host)
		if err != nil {
			return Result{}, err
		}
		defer w.close()
		raw := t.URL
		u.Host = w.addr()
		t.URL = u.String()
		p, err := e.open(ctx, t)
		if err != nil {
			return Result{}, err
		}
		if err := tell(ctx, p, 5*time.Second, odd); err != nil {
			return Result{}, err
		}
		if err := alter(raw, t.Queue, change); err != nil {
			return Result{}, err
		}
		const good = 5
		for i := range good {
			if err := tell(ctx, p, 5*time.Second, strconv.Itoa(i)); err != nil {
				return Result{}, err
			}
		}
		var mu sync.Mutex
		handled := map[string]time.Time{}
		c := consume(ctx, p, 2, func(_ context.Context, id string) error {
			mu.Lock()
			defer mu.Unlock()
			handled[id] = time.Now()
			return nil
		})
		defer c.stop()
		if !until(ctx, 10*time.Second, func() bool { return w.deliveries() > 0 }) {
			return Result{}, errors.New("nothing was delivered")
		}
		begun, before := time.Now(), w.redeliveries()
		pause(ctx, 2*time.Second)
		again := w.redeliveries() - before
		mu.Lock()
		defer mu.Unlock()
		done, slowest := 0, time.Duration(0)
		for id, at := range handled {
			if id != odd {
				done++
				slowest = max(slowest, at.Sub(begun))
			}
		}
		seen := fmt.Sprintf("%d redeliveries in 2 s; %d of %d others handled", again, done, good)
		if done > 0 && slowest > time.Second {
			seen += fmt.Sprintf(", the last after %.1f s", slowest.Seconds())
		}
		if _, ok := handled[odd]; ok {
			seen += "; it was handled"
		} else {
			seen += "; it was not handled" + whereabouts(ctx, e, t.Exchange)
		}
		return Result{Held: again <= 20 && done == good && slowest <= time.Second, Seen: seen}, nil
	}
}

// whereabouts says whether the message is in Leat's poison queue.
func whereabouts(ctx context.Context, e *env, topic string) string {
	queues, err := e.node.Queues(ctx, "/")
	if err != nil {
		return ""
	}
	for _, q := range queues {
		if q.Name != topic && q.Ready == 1 && len(q.Name) > len(topic) && q.Name[:len(topic)+1] == topic+"." && q.Name != topic+".queue" {
			return ", but put into the poison queue"
		}
	}
	return ""
}

// alter takes the only message of a queue, changes it and puts it back.
func alter(url, queue string, change func(m *amqp.Publishing)) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it is done with
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	d, ok, err := ch.Get(queue, true)
	if err != nil || !ok {
		return errors.Join(err, errors.New("the message is not in the queue"))
	}
	m := amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode,
		MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, AppId: d.AppId, Body: d.Body,
	}
	change(&m)
	confirm, err := ch.PublishWithDeferredConfirm("", queue, true, false, m)
	if err != nil {
		return err
	}
	if !confirm.Wait() {
		return errors.New("the changed message was not stored")
	}
	return nil
}
