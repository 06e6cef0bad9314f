package eventtest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

// runsOut is how long the leases of the mutants here last: longer than what has to come at once may
// take.
const runsOut = 3 * time.Second

// fetching is a mutant of streams that fetch ahead. Only those of subscriptions with that
// MaxInFlight do, which one case has.
func fetching(name, rule string, maxInFlight int, others []string, change func(sub *leat.Subscription)) mutant {
	return mutant{name: name, rule: rule, others: others, wrap: bend(func(b *bent) {
		b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
			if sub.MaxInFlight != maxInFlight {
				return b.Subscribe(ctx, sub)
			}
			asked := sub
			change(&asked)
			inner, err := b.Subscribe(ctx, asked)
			if err != nil {
				return nil, err
			}
			return newAhead(sub, inner), nil
		}
	})}
}

// closing is a mutant with another Close of streams that have received an event whose id begins
// like that.
func closing(name, rule, prefix string, closeStream func(s leat.Stream, unsettled []leat.Delivery)) mutant {
	return mutant{name: name, rule: rule, wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
		var mu sync.Mutex
		var held []leat.Delivery
		s.receive = func(s leat.Stream, ctx context.Context, into []leat.Delivery) (int, error) {
			n, err := s.Receive(ctx, into)
			mu.Lock()
			defer mu.Unlock()
			for _, d := range into[:n] {
				if strings.HasPrefix(d.Event.ID(), prefix) {
					held = append(held, d)
				}
			}
			return n, err
		}
		s.settle = func(s leat.Stream, d *leat.Delivery, how leat.Settlement) {
			mu.Lock()
			held = slices.DeleteFunc(held, func(o leat.Delivery) bool { return o.Event.ID() == d.Event.ID() })
			mu.Unlock()
			s.Settle(d, how)
		}
		s.close = func(s leat.Stream, closed bool) error {
			mu.Lock()
			unsettled := held
			held = nil
			mu.Unlock()
			if len(unsettled) == 0 || closed {
				return s.Close(context.Background())
			}
			closeStream(s, unsettled)
			return nil
		}
	})}
}

// runOut closes a stream only when its lease would have run out.
func runOut(s leat.Stream) {
	time.AfterFunc(runsOut, func() { _ = s.Close(context.Background()) })
}

// arriving returns what is on its way to a stream.
func arriving(s leat.Stream) []leat.Delivery {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	into := make([]leat.Delivery, 200)
	n, _ := s.Receive(ctx, into)
	return into[:n]
}

func giveBack(s leat.Stream, ds []leat.Delivery) {
	for i := range ds {
		s.Settle(&ds[i], leat.Settlement{Action: leat.GiveBack})
	}
}

// consumeMutants break what a stream promises of its limits, across reconnects, and at its end.
func consumeMutants() []mutant {
	return []mutant{
		fetching("prefetches four times MaxInFlight", "held-within-limit", 5, []string{"held-after-reconnect"},
			func(sub *leat.Subscription) { sub.MaxInFlight *= 4 }),
		subscribesAgain("asks by both connections after a reconnect", "reconnect-one-path", 20, nil),
		subscribesAgain("asks for MaxInFlight by each connection", "held-after-reconnect", 5, nil),
		leavesPathOpen(),
		forgetsAcksOnReconnect(),
		closing("keeps what it holds after Close", "close-hands-over", "handed-",
			func(s leat.Stream, _ []leat.Delivery) { runOut(s) }),
		closing("hands over what was delivered, not what it had fetched ahead", "close-hands-over", "handed-",
			func(s leat.Stream, unsettled []leat.Delivery) {
				arriving(s)
				giveBack(s, unsettled)
				runOut(s)
			}),
		closing("loses what arrives while it closes", "close-in-transit", "transit-",
			func(s leat.Stream, _ []leat.Delivery) {
				for _, d := range arriving(s) {
					ack(s, &d)
				}
				_ = s.Close(context.Background())
			}),
		closing("leaves what arrives while it closes to the end of its lease", "close-in-transit", "transit-",
			func(s leat.Stream, unsettled []leat.Delivery) {
				arriving(s)
				giveBack(s, unsettled)
				runOut(s)
			}),
		{
			name: "gives up handing over when the broker does not answer", rule: "close-hands-over-late", shelled: true,
			wrap: (&defect{closeStream: func(s *shellStream, ctx context.Context) error {
				if s.b.d.gate.paused() {
					runOut(s.Stream)
					return nil
				}
				return s.close(ctx)
			}}).wrap(),
		},
	}
}

// cuttable is a broker whose leases survive when connections are lost, as far as the streams know.
type cuttable struct {
	mu   sync.Mutex
	cuts []func()
}

func (c *cuttable) onCut(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cuts = append(c.cuts, f)
}

func (c *cuttable) cut() {
	c.mu.Lock()
	cuts := c.cuts
	c.mu.Unlock()
	for _, f := range cuts {
		f()
	}
}

// wrap returns a wrap of shells whose streams are made by stream.
func (c *cuttable) wrap(
	d *defect, stream func(b *shell, sub leat.Subscription, inner leat.Stream) leat.Stream,
) func(leat.Broker) leat.Broker {
	d.cut, d.keepsLeases = c.cut, true
	if stream != nil {
		d.subscribe = func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
			s, err := b.subscribe(ctx, sub)
			if err == nil {
				s.Stream = stream(b, sub, s.Stream)
			}
			return s, err
		}
	}
	return d.wrap()
}

// forgetsAcksOnReconnect keeps acks for the next request, and loses them with the connection.
func forgetsAcksOnReconnect() mutant {
	var c cuttable
	send := func(s *shellStream) {
		s.mu.Lock()
		acks := s.batch
		s.batch = nil
		s.mu.Unlock()
		for i := range acks {
			s.settle(&acks[i], leat.Settlement{Action: leat.Ack})
		}
	}
	d := &defect{
		settle: func(s *shellStream, d *leat.Delivery, how leat.Settlement) {
			if how.Action != leat.Ack {
				s.settle(d, how)
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.batch = append(s.batch, *d)
		},
		receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
			send(s)
			return s.receive(ctx, into)
		},
		closeStream: func(s *shellStream, ctx context.Context) error {
			send(s)
			return s.close(ctx)
		},
	}
	wrap := c.wrap(d, nil)
	d.subscribe = func(b *shell, ctx context.Context, sub leat.Subscription) (*shellStream, error) {
		s, err := b.subscribe(ctx, sub)
		if err == nil {
			c.onCut(func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.batch = nil
			})
		}
		return s, err
	}
	return mutant{
		name: "forgets acks when connections are lost", rule: "acks-across-reconnect", shelled: true, wrap: wrap,
		others: []string{"handover-keeps-acks", "drain-awaits-release"},
	}
}

// subscribesAgain is a mutant that asks by a new path when connections are lost, and goes on to ask
// by the old ones.
func subscribesAgain(name, rule string, maxInFlight int, others []string) mutant {
	var c cuttable
	return mutant{name: name, rule: rule, others: others, shelled: true,
		wrap: c.wrap(&defect{}, func(b *shell, sub leat.Subscription, inner leat.Stream) leat.Stream {
			if sub.MaxInFlight != maxInFlight {
				return inner
			}
			s := newAhead(sub, inner)
			s.unbounded = true
			c.onCut(func() {
				if path, err := b.Broker.Subscribe(s.ctx, sub); err == nil {
					s.follow(path)
				}
			})
			return s
		})}
}

// leavesPathOpen is a mutant that asks by a new path when connections are lost, while the broker
// still sends to the old one, until it notices that the leases of what it sent run out.
func leavesPathOpen() mutant {
	var c cuttable
	return mutant{name: "lets the broker send to where nobody receives after a reconnect", rule: "reconnect-one-path", shelled: true,
		wrap: c.wrap(&defect{}, func(b *shell, sub leat.Subscription, inner leat.Stream) leat.Stream {
			if sub.MaxInFlight != 20 {
				return inner
			}
			s := newAhead(sub, inner)
			c.onCut(func() {
				if path, err := b.Broker.Subscribe(s.ctx, sub); err == nil {
					s.mu.Lock()
					s.dead = append(s.dead, s.paths[len(s.paths)-1])
					s.mu.Unlock()
					s.follow(path)
				}
			})
			return s
		})}
}
