package eventtest

import (
	"time"
)

// both is what a fault is about where no direction is named.
var both = []Direction{ToBroker, ToClient}

// Cut closes all connections, at both ends. What is under way in the proxy is lost. New connections
// may be made at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endAll(false)
}

// Reset ends all connections with a reset (RST) at both ends, as the system of a killed process
// does. New connections may be made at once.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endAll(true)
}

// endAll ends all connections. The caller holds the lock.
func (p *Proxy) endAll(reset bool) {
	for l := range p.links {
		l.end(reset)
	}
}

// CutHalf leaves all connections half open: it closes the end that d leads to, and the other end
// does not learn of it. What the other end sends from then on vanishes. That end stays open until
// it closes, or until Cut or Reset. New connections may be made at once.
func (p *Proxy) CutHalf(d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cutHalf(d)
	}
}

// Freeze stops all bytes, as a network does that loses every packet: connections stay open, also
// when one end closes, and new ones are accepted and get no answer. With directions, only those
// stop: Freeze(ToClient) lets requests through and no answer. When Freeze has returned, nothing
// more passes until [Proxy.Thaw]; what has been sent until then, and what is sent meanwhile, passes
// after it.
func (p *Proxy) Freeze(directions ...Direction) {
	if len(directions) == 0 {
		directions = both
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions {
		p.ways[d].frozen = true
	}
	for _, d := range directions {
		for p.ways[d].frozen && p.interrupt(d) {
			p.changed.Wait()
		}
	}
}

// interrupt makes writes end that are under way in a direction, and reports whether there are any.
// The caller holds the lock.
func (p *Proxy) interrupt(d Direction) (some bool) {
	for l := range p.links {
		if l.writing[d] {
			some = true
			_ = l.ends[d].SetWriteDeadline(time.Unix(1, 0))
		}
	}
	return some
}

// Thaw ends what [Proxy.Freeze] began, in both directions. What stood still goes on, in order, to
// ends that are still there.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range both {
		p.ways[d].frozen = false
	}
	p.changed.Broadcast()
}

// Delay makes all bytes of a direction arrive later by delay, in order. It applies to what the
// proxy receives from then on; 0 ends it. The proxy holds at most 2 MiB of a connection's direction
// and lets the sender wait then.
func (p *Proxy) Delay(d Direction, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[d].delay = delay
}

// Refuse ends new connections at once, with a reset. Those that there are stay. To make a client
// vanish for good, call Refuse and then Reset.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = true
}

// Admit ends what [Proxy.Refuse] began.
func (p *Proxy) Admit() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = false
}

// Dials returns how many connections clients have made until now, refused ones included.
func (p *Proxy) Dials() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

// Connections returns how many connections there are now, those included of which one end is still
// open.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Filter makes f decide what passes: it gets every piece of bytes, as it was read, and returns what
// is passed on instead. An error cuts the connection before the piece. f is called by several
// goroutines at once, must not keep or change the bytes, and gets no whole messages: the network
// cuts a stream where it likes. Nil ends it.
func (p *Proxy) Filter(f func(d Direction, b []byte) ([]byte, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filter = f
}

// Send writes bytes into every connection, as if the other end had sent them. They come between two
// pieces of what passes. Send waits while the direction is frozen, or the receiver reads nothing.
func (p *Proxy) Send(d Direction, b []byte) {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		if l.ends[d] != nil {
			links = append(links, l)
		}
	}
	p.mu.Unlock()
	for _, l := range links {
		l.pass(d, b)
	}
}
