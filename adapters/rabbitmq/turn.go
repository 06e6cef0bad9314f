package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	amqp "github.com/rabbitmq/amqp091-go"
)

// The queue of the group that reads a poison queue has no single active consumer, because RabbitMQ
// refuses to show such a queue (basic.get, the management page). Who reads it keeps the order by a
// turn instead: one connection at a time has the exclusive queue that turnSuffix names, and one
// channel of it consumes from that. It ends with the channel. Who looks at the queue takes the turn
// too. A message in the turn's queue asks the stream that has it to let go for a while.
const (
	turnSuffix = ":turn"
	turnTag    = "turn"
	// replayLimit is the delivery limit of such a queue: each look counts as a delivery.
	replayLimit = 1_000_000_000
)

const (
	turnPause   = 250 * time.Millisecond // between attempts to take the turn, for a stream
	leastTurn   = 2 * time.Second        // that a stream reads at least before it lets go
	yieldPause  = time.Second            // before a stream that has let go tries again
	yieldGrace  = 10 * time.Second       // for handlers of a stream that lets go
	othersGrace = 5 * time.Second        // for the end of a predecessor's channel in its queue
	othersEvery = 10 * time.Millisecond
)

var (
	errTurn   = errors.New("somebody else has the turn to read the queue")
	errOthers = errors.New("other consumers have the queue")
	errNoTurn = errors.New("the queue of the turn to read was deleted")
)

// turns reports whether those who read the queue take turns.
func (t *topology) turns() bool {
	return t.sub.Group == leat.ReplayGroup && !t.sub.Broadcast && !t.single()
}

// takeTurn takes the turn of a queue for as long as ch lasts. The error wraps errTurn where
// somebody else has it; ch is closed then. What arrives from the channel asks to let go; the
// channel is closed when the turn is over.
func (t *topology) takeTurn(ctx context.Context, ch *amqp.Channel) (asks <-chan amqp.Delivery, err error) {
	name := t.queue.Name + turnSuffix
	if _, err = ch.QueueDeclare(name, false, true, true, false, nil); err == nil {
		asks, err = ch.Consume(name, turnTag, true, true, false, false, nil)
	}
	if err != nil {
		if taken(err) {
			return nil, fmt.Errorf("%w: %w", errTurn, discreet(err))
		}
		return nil, explain(t.sub.Topic, "queue", name, err)
	}
	return asks, t.awaitOthers(ctx, ch)
}

// taken reports whether an error says that somebody else has the turn: another connection, another
// channel of this one, or one that let go of it just now.
func taken(err error) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && (e.Code == amqp.ResourceLocked || e.Code == amqp.NotFound ||
		e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "exclusive use"))
}

// awaitOthers waits until the queue has no consumer: the channel that had the turn before is over,
// and the queue may not know yet. When the consumer is gone, its messages are back.
func (t *topology) awaitOthers(ctx context.Context, ch *amqp.Channel) error {
	for began := time.Now(); ; {
		q, err := ch.QueueDeclarePassive(t.queue.Name, t.queue.Durable, false, t.queue.Exclusive, false, nil)
		switch {
		case err != nil:
			return explain(t.sub.Topic, "queue", t.queue.Name, err)
		case q.Consumers == 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Since(began) > othersGrace:
			return topologyError(t.sub.Topic, leat.CodeConflict,
				"%w: the queue %q has %d of them, which do not belong to Leat or to an older version; the order needs them to end",
				errOthers, t.queue.Name, q.Consumers)
		}
		lifecycle.Sleep(ctx, othersEvery)
	}
}

// askForTurn asks who has the turn to let go.
func (b *Broker) askForTurn(ctx context.Context, t *topology) error {
	return b.request(ctx, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil { // so that an error of the channel is seen
			return err
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", t.queue.Name+turnSuffix, false, false, amqp.Publishing{})
		if err != nil {
			return err
		}
		_, err = c.WaitContext(ctx)
		return err
	})
}

// Assigned reports whether the stream has a channel by which it receives: in the group
// [leat.ReplayGroup], one stream at a time has the turn. [leat.RunUntilIdle] asks it.
func (s *Stream) Assigned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.generation != nil
}
