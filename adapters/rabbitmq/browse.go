package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

var _ leat.Browser = (*Broker)(nil)

const (
	// lookers is how many consumers look at one queue, one after the other. RabbitMQ returns their
	// messages in order as long as it keeps no more than 32 consumers.
	lookers = 28
	// leastLook is how many messages one of them gets at least.
	leastLook = 200
	// askEvery is how often who has the turn is asked to let go.
	askEvery  = time.Second
	lookPause = 30 * time.Millisecond
	// lookRest is how long nobody looks at a queue after a look, so that looks in a row do not keep
	// a stream from its turn. It is longer than a turnPause.
	lookRest = 2 * turnPause
)

// Browse implements [leat.Browser] for the group [leat.ReplayGroup]; others are
// [leat.CodeUnsupported]. It takes the messages without acknowledging them, and closes the channel,
// by which RabbitMQ puts them back in their place. A stream of the group lets go meanwhile: its
// handlers get 10 s to finish. Each look counts as a delivery. It holds a 28th of the queue in
// memory, 200 messages at least, and sees 1.8 million at most; with more the error has
// [leat.CodeExhausted]. show has to return within the broker's consumer_timeout, 30 minutes unless
// that is set.
func (b *Broker) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return err
	}
	defer done()
	t, err := b.topologyOf(sub)
	if err == nil && !t.turns() {
		err = topologyError(sub.Topic, leat.CodeUnsupported,
			"RabbitMQ shows the queue of the group %s only, and only without %s; look at a copy of the others", leat.ReplayGroup, rabbit.ArgSingle)
	}
	if err != nil {
		return fail(ctx, "browse", sub.Topic, err)
	}
	l := &look{b: b, t: &t, show: show}
	return fail(ctx, "browse", sub.Topic, l.run(ctx))
}

// look is one Browse.
type look struct {
	b    *Broker
	t    *topology
	show func(*leat.Delivery) bool
	ch   *amqp.Channel // has the messages
}

func (l *look) run(ctx context.Context) error {
	if last, ok := l.b.looked.Load(l.t.queue.Name); ok {
		lifecycle.Sleep(ctx, time.Until(last.(time.Time).Add(lookRest))) //nolint:forcetypeassert // nothing else is stored
	}
	session, turn, err := l.takeTurn(ctx)
	if err != nil {
		return err
	}
	defer func() { l.b.looked.Store(l.t.queue.Name, time.Now()) }()
	defer func() {
		if l.ch != nil {
			_ = l.ch.Close()
			// Who has the turn next should not have to wait.
			back, cancel := context.WithTimeout(context.WithoutCancel(ctx), othersGrace)
			_ = l.t.awaitOthers(back, turn)
			cancel()
		}
		_ = turn.Close()
	}()
	q, err := turn.QueueDeclarePassive(l.t.queue.Name, l.t.queue.Durable, false, l.t.queue.Exclusive, false, nil)
	if err != nil || q.Messages == 0 {
		return err
	}
	if err := session.do(ctx, func(ch *amqp.Channel) error {
		l.ch = ch
		return nil
	}); err != nil {
		return err
	}
	return l.through(ctx, session, q.Messages)
}

// takeTurn waits for the turn. Who has it is asked to let go.
func (l *look) takeTurn(ctx context.Context) (*session, *amqp.Channel, error) {
	var asked time.Time
	for {
		session, err := l.b.consuming.connect(ctx)
		if err != nil {
			return nil, nil, err
		}
		var turn *amqp.Channel
		err = session.do(ctx, func(ch *amqp.Channel) error {
			if _, err := ch.QueueDeclarePassive(l.t.queue.Name, l.t.queue.Durable, false, l.t.queue.Exclusive, false, nil); err != nil {
				return explain(l.t.sub.Topic, "queue", l.t.queue.Name, err)
			}
			turn = ch
			_, err := l.t.takeTurn(ctx, ch)
			return err
		})
		if !errors.Is(err, errTurn) {
			return session, turn, err
		}
		if time.Since(asked) > askEvery {
			if err := l.b.askForTurn(ctx, l.t); err != nil {
				return nil, nil, fmt.Errorf("asking the replay that reads the queue to wait: %w", err)
			}
			asked = time.Now()
		}
		if lifecycle.Sleep(ctx, lookPause); ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
	}
}

// through shows n messages.
func (l *look) through(ctx context.Context, session *session, n int) error {
	share := min(max((n+lookers-1)/lookers, leastLook), mostPrefetch)
	if err := l.ch.Qos(share, 0, false); err != nil {
		return err
	}
	lease := leat.NewLease()
	lease.End(nil)
	d := decoder{topic: l.t.sub.Topic, mapping: l.b.o.Mapping, keyFrom: keyFrom(l.b.o.KeyFrom)}
	closes := l.ch.NotifyClose(make(chan *amqp.Error, 1))
	for i := range lookers {
		arrivals, err := l.ch.Consume(l.t.queue.Name, fmt.Sprintf("browse-%02d", i), false, false, false, false, nil)
		if err != nil {
			return err
		}
		for range min(n, share) {
			n--
			select {
			case m, open := <-arrivals:
				if !open {
					return session.explain(errors.Join(errCancelled, discreetAMQP(<-closes)))
				}
				shown := leat.Delivery{Lease: lease, Position: leat.Position{ID: l.t.queue.Name}}
				d.decode(&m, &shown)
				if shown.Deliveries = deliveries(&m, l.t.quorum()); shown.Deliveries > 0 {
					shown.Deliveries += deliveriesBefore(&m) - 1 // this is none
				}
				if !l.show(&shown) {
					return nil
				}
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if n == 0 {
			return nil
		}
	}
	return topologyError(l.t.sub.Topic, leat.CodeExhausted, "%d more messages are in the queue than can be shown", n)
}
