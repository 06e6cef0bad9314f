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
	askEvery = time.Second
	// Between attempts to take the turn. Each costs a channel, which the broker closes with an
	// error. mostLookPause is shorter than a yieldPause, so that a look gets the turn that a stream
	// lets go.
	lookPause     = 30 * time.Millisecond
	mostLookPause = yieldPause / 2
	// lookSilence is how long nothing has to arrive until the messages are counted anew.
	lookSilence = 500 * time.Millisecond
	// leaveGrace is how long Browse waits for its messages to be back when its ctx has ended.
	leaveGrace = 150 * time.Millisecond
	// lookRest is how long nobody looks at a queue after a look, so that looks in a row do not keep
	// a stream from its turn. It is longer than a turnPause.
	lookRest = 2 * turnPause
)

// Browse implements [leat.Browser] for the group [leat.ReplayGroup]; others are
// [leat.CodeUnsupported]. It takes the messages without acknowledging them, and closes the channel,
// by which RabbitMQ puts them back in their place. A stream of the group lets go meanwhile: its
// handlers get 10 s to finish. Each look counts as a delivery. It holds a 28th of the queue in
// memory, 200 messages at least, whatever MaxInFlight is, and sees 1.8 million at most. A 28th that
// is larger than MaxInFlightBytes, by the mean size of the messages before, is made smaller. What
// is in the queue beyond 28 of these is an error with [leat.CodeExhausted]. Messages that expire or
// are purged meanwhile are not shown. show has to return within the broker's consumer_timeout, 30
// minutes unless that is set.
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
	b       *Broker
	t       *topology
	show    func(*leat.Delivery) bool
	session *session
	turn    *amqp.Channel // has the turn
	ch      *amqp.Channel // has the messages; nil before there is one
	closes  <-chan *amqp.Error
	lease   *leat.Lease
	decoder decoder
	shown   int
	bytes   int // of them
}

func (l *look) run(ctx context.Context) error {
	if last, ok := l.b.looked.Load(l.t.queue.Name); ok {
		lifecycle.Sleep(ctx, time.Until(last.(time.Time).Add(lookRest))) //nolint:forcetypeassert // nothing else is stored
	}
	var err error
	if l.session, l.turn, err = l.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { l.b.looked.Store(l.t.queue.Name, time.Now()) }()
	defer func() { l.leave(ctx) }()
	n, err := l.ready(ctx)
	if err != nil || n == 0 {
		return err
	}
	var ch *amqp.Channel
	if err := l.session.do(ctx, func(opened *amqp.Channel) error {
		ch = opened
		return nil
	}); err != nil {
		return err
	}
	l.ch, l.closes = ch, ch.NotifyClose(make(chan *amqp.Error, 1))
	return l.through(ctx, n)
}

// leave puts the messages back and lets go of the turn. It waits for that, so that who has the turn
// next does not have to, but not when the broker does not answer.
func (l *look) leave(ctx context.Context) {
	patience := othersGrace
	if ctx.Err() != nil {
		patience = leaveGrace
	}
	ctx = context.WithoutCancel(ctx)
	back, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = l.session.ask(back, func() error {
		if l.ch != nil {
			_ = l.ch.Close()
			others, cancel := context.WithTimeout(ctx, othersGrace)
			_ = l.t.awaitOthers(others, l.turn)
			cancel()
		}
		return l.turn.Close()
	}, func() {})
}

// ready counts the messages that nobody has.
func (l *look) ready(ctx context.Context) (int, error) {
	var q amqp.Queue
	err := l.session.ask(ctx, func() (err error) {
		q, err = l.turn.QueueDeclarePassive(l.t.queue.Name, l.t.queue.Durable, false, l.t.queue.Exclusive, false, nil)
		return err
	}, func() {})
	if err != nil {
		return 0, err
	}
	return q.Messages, nil
}

// takeTurn waits for the turn. Who has it is asked to let go.
func (l *look) takeTurn(ctx context.Context) (*session, *amqp.Channel, error) {
	var asked time.Time
	for pause := lookPause; ; pause = min(2*pause, mostLookPause) {
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
		switch {
		case err == nil:
			return session, turn, nil
		case !errors.Is(err, errTurn):
			return nil, nil, err
		}
		if time.Since(asked) > askEvery {
			if err := l.b.askForTurn(ctx, l.t); err != nil {
				return nil, nil, fmt.Errorf("asking the replay that reads the queue to wait: %w", err)
			}
			asked = time.Now()
		}
		if lifecycle.Sleep(ctx, pause); ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
	}
}

// through shows n messages.
func (l *look) through(ctx context.Context, n int) error {
	l.lease = leat.NewLease()
	l.lease.End(nil)
	l.decoder = decoder{topic: l.t.sub.Topic, mapping: l.b.o.Mapping, keyFrom: keyFrom(l.b.o.KeyFrom)}
	for i := range lookers {
		share := l.share(n, lookers-i)
		arrivals, err := l.consume(ctx, fmt.Sprintf("browse-%02d", i), share)
		if err != nil {
			return err
		}
		left, err := l.showSome(ctx, arrivals, n, min(n, share))
		if err != nil {
			if errors.Is(err, errSeen) {
				return nil
			}
			return err
		}
		if n = left; n == 0 {
			return nil
		}
	}
	return topologyError(l.t.sub.Topic, leat.CodeExhausted,
		"%d more messages are in the queue than can be shown with MaxInFlightBytes (%d)", n, l.t.sub.MaxInFlightBytes)
}

// errSeen says that show has returned false.
var errSeen = errors.New("enough is shown")

// share is how many of n messages the next one of so many lookers gets.
func (l *look) share(n, of int) int {
	share := max((n+of-1)/of, leastLook)
	if limit := l.t.sub.MaxInFlightBytes; limit > 0 && l.shown > 0 {
		share = min(share, max(1, limit/max(1, l.bytes/l.shown)))
	} else if limit > 0 {
		share = min(share, leastLook) // nothing is known of their size
	}
	return min(share, mostPrefetch)
}

// consume has the next looker get its share.
func (l *look) consume(ctx context.Context, tag string, share int) (arrivals <-chan amqp.Delivery, err error) {
	var opened <-chan amqp.Delivery
	err = l.session.ask(ctx, func() error {
		if err := l.ch.Qos(share, 0, false); err != nil {
			return err
		}
		var err error
		opened, err = l.ch.Consume(l.t.queue.Name, tag, false, false, false, false, nil)
		return err
	}, func() {})
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// showSome shows up to most of the n messages that are left, and returns how many are left then.
// Some may be gone: when nothing arrives, it counts anew. It returns 0 when nothing is there twice
// in a row, because what is on its way is not counted.
func (l *look) showSome(ctx context.Context, arrivals <-chan amqp.Delivery, n, most int) (left int, err error) {
	silence := time.NewTimer(lookSilence)
	defer silence.Stop()
	last, empty := time.Now(), false
	for most > 0 {
		select {
		case m, open := <-arrivals:
			if !open {
				return 0, l.session.explain(errors.Join(errCancelled, discreetAMQP(<-l.closes)))
			}
			n, most = n-1, most-1
			if !l.showOne(&m) {
				return 0, errSeen
			}
			last, empty = time.Now(), false
		case <-silence.C:
			ready, err := l.ready(ctx)
			switch {
			case err != nil:
				return 0, err
			case ready == 0 && empty:
				return 0, nil
			case ready > 0 && time.Since(last) > l.b.o.RequestTimeout:
				return 0, topologyError(l.t.sub.Topic, leat.CodeUnavailable, "the queue has %d messages and delivers none", ready)
			}
			empty = ready == 0
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		silence.Reset(lookSilence)
	}
	return n, nil
}

func (l *look) showOne(m *amqp.Delivery) bool {
	l.shown++
	l.bytes += sizeOf(m)
	d := leat.Delivery{Lease: l.lease, Position: leat.Position{ID: l.t.queue.Name}}
	l.decoder.decode(m, &d)
	if d.Deliveries = deliveries(m, l.t.quorum()); d.Deliveries > 0 {
		d.Deliveries += deliveriesBefore(m) - 1 // this is none
	}
	return l.show(&d)
}
