package rabbitmq

import (
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// brokerPatience is how many heartbeats RabbitMQ waits at least: it looks once in each, and ends a
// connection of which it has read nothing at two looks in a row.
const brokerPatience = 2

// pulse keeps the lease of a channel by the client's own clock. What comes from the broker does not
// show that the broker hears the client: its heartbeats also come when nothing reaches it. So the
// channel asks something, from time to time, whose answer does. The lease counts from the beginning
// of the request that was answered last, and ends at nine tenths of the time for which RabbitMQ
// waits from then on (L2).
type pulse struct {
	term  time.Duration
	lease *leat.TimedLease
	beat  *time.Ticker
	over  *time.Timer // fires when the lease has ended by the clock
}

// newPulse begins to count at asked, before the request that the broker has answered by now.
func newPulse(asked time.Time, heartbeat time.Duration) *pulse {
	p := &pulse{term: brokerPatience * heartbeat}
	p.lease = leat.NewTimedLeases(p.term).New(asked)
	p.beat = time.NewTicker(p.term / 4) // more than one answer may be missing
	p.over = time.NewTimer(p.left(asked))
	return p
}

// left is how long the lease lasts, counted from asked.
func (p *pulse) left(asked time.Time) time.Duration { return time.Until(asked.Add(p.term - p.term/10)) }

// heard notes that the broker has answered a request that began at asked.
func (p *pulse) heard(asked time.Time) {
	if p.lease.Extended(asked) {
		p.over.Reset(p.left(asked))
	}
}

func (p *pulse) stop() {
	p.beat.Stop()
	p.over.Stop()
}

// unheard is the end of a lease whose broker does not answer.
func (p *pulse) unheard() error {
	return fmt.Errorf("%w: it takes back what the channel has when it has read nothing for %v", errUnheard, p.term)
}

var errUnheard = errors.New("the broker does not answer")

// ask asks for the prefetch that the channel has. RabbitMQ answers, and changes nothing of the
// consumer that is there.
func (g *generation) ask() {
	asked := time.Now()
	if g.ch.Qos(g.prefetch, 0, false) == nil {
		g.pulse.heard(asked)
	}
}
