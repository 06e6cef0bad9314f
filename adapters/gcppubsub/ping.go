package gcppubsub

import (
	"sync"
	"time"
)

// pings are those of one pull. Their answers say from when leases count, and they or messages that
// the server is alive.
type pings struct {
	mu       sync.Mutex
	sent     time.Time // when the newest ping was sent
	due      int       // answers that the server has not sent
	waiting  bool      // for the answer to the newest ping, or to a call in its place
	calling  bool      // the call is under way
	answered time.Time // when the newest ping, or call, was sent that was answered
	heard    time.Time // when something came last; zero while nothing has
}

// hear notes that something has come, and returns from when leases count.
func (p *pings) hear(now time.Time) (asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = now
	return p.answered
}

// heardAny reports whether anything has come.
func (p *pings) heardAny() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.heard.IsZero()
}

// pong notes an answer, and reports whether one was due. A server answers in order, so the last one
// that is due is that to the newest ping.
func (p *pings) pong() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due == 0 {
		return false
	}
	if p.due--; p.due == 0 {
		p.answer(p.sent)
	}
	return true
}

// answer notes that what was sent at a moment is answered. The lock is held.
func (p *pings) answer(sent time.Time) {
	if p.answered.Before(sent) {
		p.answered = sent
	}
	p.waiting = false
}

// begin notes a ping, unless one waits for its answer.
func (p *pings) begin(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting {
		return false
	}
	p.sent, p.waiting = now, true
	p.due++
	return true
}

// waits reports whether the newest ping is not answered yet.
func (p *pings) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting
}

// silent reports whether a ping waits, and nothing has come for too long.
func (p *pings) silent(now time.Time, most time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting && now.Sub(p.sent) >= most && now.Sub(p.heard) >= most
}

// beginCall notes a call in the place of a ping that waits, if there has to be one: the server
// never answers any, or it sends messages and no answer.
func (p *pings) beginCall(answers bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.waiting || p.calling || answers && !p.heard.After(p.sent) {
		return false
	}
	p.calling = true
	return true
}

// endCall is the end of a call that began at a moment.
func (p *pings) endCall(sent time.Time, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calling = false; answered {
		p.answer(sent)
	}
}
