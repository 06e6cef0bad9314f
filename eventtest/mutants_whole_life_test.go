package eventtest_test

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
)

func receivesTooMany() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		return s.receive(ctx, into[:cap(into)])
	}, subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		sub.MaxInFlight += 20
		return b.subscribe(ctx, sub)
	}}).wrap()
}

func ignoresBytes() func(leat.Broker) leat.Broker {
	return (&defect{subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		sub.MaxInFlightBytes = 1 << 30
		return b.subscribe(ctx, sub)
	}}).wrap()
}

func publishesPastCtx() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		b.publish(context.WithoutCancel(ctx), topic, events, done)
	}}).wrap()
}

// blocksInSettle takes 1.8 s for the fifth give-back of a stream.
func blocksInSettle() func(leat.Broker) leat.Broker {
	return (&defect{settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
		if how.Action == leat.GiveBack {
			s.mu.Lock()
			s.note++
			slow := s.note == 5
			s.mu.Unlock()
			if slow {
				time.Sleep(1800 * time.Millisecond) // the defect: it blocks for longer than the suite allows
			}
		}
		s.settle(d, how)
	}}).wrap()
}

// closesStreamsLate takes 1.8 s where less than half of that is left.
func closesStreamsLate() func(leat.Broker) leat.Broker {
	return (&defect{closeStream: func(s *shellStream, ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < 400*time.Millisecond {
			time.Sleep(1800 * time.Millisecond) // the defect: it blocks for longer than the suite allows
		}
		return s.close(ctx)
	}}).wrap()
}

func closesStreamsWithBroker() func(leat.Broker) leat.Broker {
	return (&defect{closeStream: func(s *shellStream, ctx context.Context) error { return s.close(context.WithoutCancel(ctx)) }}).wrap()
}

func closesWithBroker() func(leat.Broker) leat.Broker {
	return (&defect{close: func(b *shell) error {
		if err := b.d.gate.wait(context.Background(), nil); err != nil {
			return err
		}
		return b.close()
	}}).wrap()
}

// forgetsAcks keeps the last three acks of a stream for a batch that Close does not send.
func forgetsAcks() func(leat.Broker) leat.Broker { return (&defect{settle: keepsThreeAcks}).wrap() }

// keepsThreeAcks is a Settle that sends each ack only when three more have come.
func keepsThreeAcks(s *shellStream, d *leat.Delivery, how leat.Settlement) {
	if how.Action != leat.Ack {
		s.settle(d, how)
		return
	}
	s.mu.Lock()
	s.batch = append(s.batch, *d)
	var ack *leat.Delivery
	if len(s.batch) > 3 {
		ack, s.batch = &s.batch[0], s.batch[1:]
	}
	s.mu.Unlock()
	if ack != nil {
		s.settle(ack, how)
	}
}

func leaks() func(leat.Broker) leat.Broker {
	return onEach(func(*shellStream, *leat.Delivery) bool {
		go time.Sleep(4 * time.Second) // the defect: a goroutine that outlives its stream
		return true
	})
}

func sharesBroadcast() func(leat.Broker) leat.Broker {
	return (&defect{subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		if sub.Broadcast {
			sub.Broadcast, sub.Group = false, "everybody"
			if err := leat.Declare(ctx, b.Broker, sub); err != nil {
				return nil, err
			}
		}
		return b.subscribe(ctx, sub)
	}}).wrap()
}

// declaresNothing drops what was published to a group before its first stream.
func declaresNothing() func(leat.Broker) leat.Broker {
	var published, begins seenIDs
	return (&defect{
		publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			published.add(topic, len(events))
			b.publish(ctx, topic, events, done)
		},
		subscribe: func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
			if key := sub.Topic + "/" + sub.Group; begins.add(key, 0) == 0 {
				begins.add(key, 1+published.add(sub.Topic, 0))
			}
			return b.subscribe(ctx, sub)
		},
		receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
			n, err := s.receive(ctx, into)
			kept, first := 0, begins.add(s.sub.Topic+"/"+s.sub.Group, 0)-1
			for i := range n {
				if d := into[i]; s.sub.Broadcast || d.Position.Offset >= int64(first) {
					into[kept] = d
					kept++
				} else {
					s.settle(&d, leat.Settlement{Action: leat.Ack})
				}
			}
			return kept, err
		},
	}).wrap()
}

func swallowsClose() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		if leat.CodeOf(err) == leat.CodeClosed {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return n, err
	}}).wrap()
}

func silentAfterClose() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if !b.isClosed() {
			b.publish(ctx, topic, events, done)
		}
	}}).wrap()
}

func bareErrors() func(leat.Broker) leat.Broker {
	return (&defect{declare: func(b *shell, ctx context.Context, subs ...leat.Subscription) error {
		if err := leat.Declare(ctx, b.Broker, subs...); err != nil {
			return errors.New(err.Error())
		}
		return nil
	}}).wrap()
}

func refusesLarge() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if events[0].Size() > 512<<10 {
			refuse(events, leat.CodeTooLarge, done)
			return
		}
		b.publish(ctx, topic, events, done)
	}}).wrap()
}

// unavailableTopics confuses a topic that nobody declared with an outage.
func unavailableTopics() func(leat.Broker) leat.Broker {
	var known seenIDs
	return (&defect{
		declare: func(b *shell, ctx context.Context, subs ...leat.Subscription) error {
			for _, sub := range subs {
				known.add(sub.Topic, 1)
			}
			return leat.Declare(ctx, b.Broker, subs...)
		},
		publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if known.add(topic, 0) == 0 {
				refuse(events, leat.CodeUnavailable, done)
				return
			}
			b.publish(ctx, topic, events, done)
		},
	}).wrap()
}

// waitsForOldest receives nothing while 10 later events than the oldest have been settled.
func waitsForOldest() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		for s.farAhead() {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		if most := 4; len(into) > most {
			into = into[:most]
		}
		return s.receive(ctx, into)
	}}).wrap()
}

func (s *shellStream) farAhead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.held {
		if u.above >= 10 {
			return true
		}
	}
	return false
}
