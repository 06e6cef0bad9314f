package rabbitmq

import (
	"context"
	"errors"

	"github.com/leatgo/leat"
)

// Subscribe implements [leat.Broker]. Exchange, queue and binding are created where
// [Options].Provision says so; otherwise what does not exist is an error with [leat.CodeNotFound].
// It returns when the broker has begun to deliver. The stream is a [*Stream].
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return nil, err
	}
	defer done()
	sub = sub.WithDefaults()
	t, err := b.topologyOf(sub)
	if err != nil {
		return nil, err
	}
	s := &Stream{broker: b, sub: sub, caps: t.capabilities(&b.o), kept: make(chan struct{})}
	s.prefetch = s.fullPrefetch()
	if sub.Group != "" {
		s.caps.LongestDelay = b.o.RecycleAfter / 5 * 4 // a key that is held is not finished
	}
	s.outage.Logger, s.stuck.Logger = b.o.Logger, b.o.Logger
	s.keepBook()
	s.delays = delays{s: s, least: leastQueued}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	request, cancel := b.bounded(ctx)
	defer cancel()
	var g *generation
	err = again(request, func() (err error) {
		g, err = s.open(request)
		return err
	})
	if err != nil && !errors.Is(err, errTurn) {
		s.cancel()
		return nil, fail(ctx, "subscribe", sub.Topic, err)
	}
	if g != nil {
		s.install(g)
	}
	b.life.Tasks.Go(func() { s.keep(g) })
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}
