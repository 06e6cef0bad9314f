package gcppubsub

import (
	"context"
	"time"
)

// size is of events.
type size struct{ events, bytes int }

// room returns what the pull may ask for. Pub/Sub does not count what another pull has brought,
// also where that is the same one, opened before.
func (p *pull) room() size {
	events, bytes := p.s.Room()
	return size{max(min(p.share.events, events), 1), max(min(p.share.bytes, bytes), 1)}
}

// longestGather is how long a pull that is to have more waits for the end of what it holds.
const longestGather = 5 * time.Second

// gather waits until there is room to open the pull again. Where it is opened to have more, what is
// held then is what it will lack, so gather also waits a while for most of the share. It reports
// false when the ask is over.
func (p *pull) gather() bool {
	if !p.s.Await(p.going) {
		return false
	}
	if p.grow.tried {
		ctx, cancel := context.WithTimeout(p.going, min(longestGather, p.s.b.o.AckDeadline/5))
		defer cancel()
		p.s.AwaitRoom(ctx, max(p.share.events*3/4, 1), max(p.share.bytes*3/4, 1))
	}
	return p.going.Err() == nil
}

// growth is how often a pull tries to have more, while all that it asked for is held.
type growth struct {
	wait  int // ticks before it tries
	next  int // ticks before it tries after this, if it does not succeed
	tried bool
}

// mostTicks is the longest wait before another try.
const mostTicks = 64

// ask notes what a pull asks for that is opened.
func (p *pull) ask(room size) {
	if p.grow.tried && room.events <= p.asked.events && room.bytes <= p.asked.bytes { // it was no use
		p.grow.next = min(2*p.grow.next+1, mostTicks)
	} else {
		p.grow.next = 0
	}
	p.grow.wait, p.grow.tried, p.asked = p.grow.next, false, room
}

// grows reports whether the pull should be opened again to ask for more. Pub/Sub takes another
// number only of a new pull. Either there is a good deal more room, and nothing less. Or everything
// that it asked for is held, which is less than two thirds of its share; then it waits for the end
// of what it holds, see gather.
func (p *pull) grows() bool {
	room := p.room()
	good := func(room, asked int) bool { return room > asked+asked/4 }
	if room.events >= p.asked.events && room.bytes >= p.asked.bytes &&
		(good(room.events, p.asked.events) || good(room.bytes, p.asked.bytes)) {
		return true
	}
	events, bytes := p.s.Room()
	few := 3*p.asked.events < 2*p.share.events && p.s.sub.MaxInFlight-events >= p.asked.events
	small := 3*p.asked.bytes < 2*p.share.bytes && p.s.sub.MaxInFlightBytes-bytes >= p.asked.bytes
	if !few && !small {
		return false
	}
	if p.grow.wait > 0 {
		p.grow.wait--
		return false
	}
	p.grow.tried = true
	return true
}
