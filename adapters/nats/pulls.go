package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
)

// pulls is what a stream has asked for and not got. Stream.mu guards it.
//
// A message that answers a request was sent after the request began, so its lease counts from the
// oldest request that is open. Requests are short for that reason. Each has a bound of bytes, and a
// server reports the end of such a request, also when it is complete.
type pulls struct {
	session int    // of the inbox; what an earlier one has asked for does not count any more
	inbox   string // to which messages come
	sub     *nats.Subscription
	drained bool // by Close

	expires time.Duration
	open    []pull // oldest first
	last    uint64 // number of the newest
	events  int    // asked for by open, and did not come
	bytes   int
	tight   int         // the bytes that were held when the next message did not fit, or 0
	floor   time.Time   // when the last request began that has ended, or was given up
	again   time.Time   // nothing is asked for before
	at      time.Time   // when the newest was sent
	out     []*nats.Msg // to be sent by run, without the lock
	gone    bool        // nobody answered
}

// pull is a request for messages.
type pull struct {
	number uint64
	asked  time.Time
	events int
	bytes  int // 0 is no bound
}

// request is a pull request as JetStream has it.
type request struct {
	Expires time.Duration `json:"expires,omitempty"`
	Batch   int           `json:"batch"`
	Bytes   int           `json:"max_bytes,omitempty"`
	Group   string        `json:"group,omitempty"`
	ID      string        `json:"id,omitempty"`
}

const (
	never     = time.Hour
	lostAfter = 2 * time.Second // behind its end, a request is lost
	pinToken  = "pin"           // ends the inbox of requests that keep a pin
)

// renew begins with a new inbox, since a server may still have requests of the old one. The lock is
// held, as by all that follow unless they say otherwise.
func (s *Stream) renew() {
	p := &s.pulls
	if old := p.sub; old != nil {
		s.b.life.Tasks.Go(func() { _ = old.Drain() }) // which waits for the client's lock
	}
	if len(p.open) > 0 {
		p.floor = p.open[0].asked
	}
	p.session++
	session := p.session
	p.inbox, p.sub = s.b.o.inbox(), nil
	p.open, p.events, p.bytes, p.tight, p.gone = nil, 0, 0, 0, false
	s.raise() // what was on its way comes after newer messages
	inbox := p.inbox
	s.b.life.Tasks.Go(func() {
		c := &decoder{topic: s.sub.Topic, o: &s.b.o} // the client calls back in a goroutine of the session
		sub, err := s.b.link.nc.Subscribe(inbox+"*", func(m *nats.Msg) { s.arrived(m, session, c) })
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err != nil:
			s.lost.Set(err)
		case s.pulls.session != session || s.closed:
			s.b.life.Tasks.Go(func() { _ = sub.Unsubscribe() })
		default:
			_ = sub.SetPendingLimits(-1, -1)
			s.pulls.sub = sub
			lifecycle.Signal(s.poke)
		}
	})
}

// took notes that a message has come, and returns when its lease began at the latest. What a client
// reads after an outage was sent long ago.
func (p *pulls) took(m *nats.Msg, session int) (asked time.Time) {
	if session != p.session || len(p.open) == 0 { // it is of a request that has ended
		return p.floor
	}
	asked = p.open[0].asked
	p.events--
	p.bytes -= m.Size() + len(m.Reply)
	if p.open[0].bytes == 0 { // it was for one message, and no status comes
		p.end(0, 0, 0)
	}
	return asked
}

// end takes a request out that has ended, with what it did not bring.
func (p *pulls) end(i, events, bytes int) {
	p.floor = p.open[0].asked
	p.open = slices.Delete(p.open, i, i+1)
	p.events -= events
	p.bytes -= bytes
	if len(p.open) == 0 {
		p.events, p.bytes = 0, 0
	}
}

// ask asks for as much as there is room for, and returns when to look again.
func (s *Stream) ask(now time.Time) (wait time.Duration) {
	p := &s.pulls
	for len(p.open) > 0 && now.Sub(p.open[0].asked) > p.expires+lostAfter {
		p.gone = true
		p.end(0, p.open[0].events, p.open[0].bytes)
	}
	if s.closed || s.quiet || p.sub == nil || s.identity.doubted != nil {
		return never
	}
	if left := p.again.Sub(now); left > 0 {
		return left
	}
	r, wait := s.wanted(now)
	if r == nil {
		return wait
	}
	if !s.b.link.alive() {
		return lookEvery / 10
	}
	p.last++
	s.request(r, p.inbox+strconv.FormatUint(p.last, 36))
	p.open = append(p.open, pull{number: p.last, asked: now, events: r.Batch, bytes: r.Bytes})
	p.events += r.Batch
	p.bytes += r.Bytes
	return p.expires + lostAfter
}

// room returns how much more may be asked for, and whether that is worth a request: one brings many
// messages.
func (s *Stream) room() (events, bytes int, worth bool) {
	p, most := &s.pulls, s.sub.MaxInFlight
	if s.pin.barrier != nil {
		most = max(most, s.mostPending)
	}
	events, bytes = s.held()
	tight := p.tight > 0 && bytes >= p.tight
	events, bytes = most-events-p.events, s.sub.MaxInFlightBytes-bytes-p.bytes
	switch {
	case events <= 0:
	case s.pin.barrier != nil: // one that does not fit takes the place of a newer one
		worth = len(p.open) == 0 && (bytes > 0 && !tight || len(s.pin.early) > 0)
	case tight:
	case len(p.open) == 0:
		worth = bytes > 0 || events == most
	default:
		worth = 2*p.events <= most && events >= max(1, most/4) && bytes >= s.sub.MaxInFlightBytes/4
	}
	return events, bytes, worth
}

// pokeIfRoom lets run ask for more.
func (s *Stream) pokeIfRoom() {
	if _, _, worth := s.room(); worth && (s.pin.id != "" || !s.ordered) {
		lifecycle.Signal(s.poke)
	}
}

// wanted returns the request that is to be made, or nil and when to look again.
func (s *Stream) wanted(now time.Time) (*request, time.Duration) {
	p, b := &s.pulls, s.pin.barrier
	events, bytes, worth := s.room()
	most := s.sub.MaxInFlight
	switch {
	case s.ordered && s.pin.id == "": // one message tells that this stream is the active one
		most = 1
	case b != nil:
		if most = b.missing; most <= 0 {
			return nil, lookEvery / 10
		}
	}
	switch {
	case !worth, most < events && len(p.open) > 0:
		return nil, never
	case b == nil && events < s.sub.MaxInFlight/4 && now.Sub(p.at) < time.Millisecond:
		return nil, time.Millisecond
	}
	r := &request{Expires: p.expires, Batch: min(events, most), Bytes: max(bytes, 1)}
	if p.tight > 0 && events == s.sub.MaxInFlight || b != nil && (p.tight > 0 || bytes <= 0) {
		r.Batch, r.Bytes = 1, 0 // it comes alone, whatever its size
	}
	p.tight = 0
	return r, 0
}

// request makes a pull request, which post sends.
func (s *Stream) request(r *request, inbox string) {
	if s.ordered {
		r.Group, r.ID = pinGroup, s.pin.id
	}
	body, _ := json.Marshal(r) //nolint:errchkjson // it cannot fail
	s.pulls.at = time.Now()
	subject := s.b.api("CONSUMER.MSG.NEXT." + s.stream + "." + s.consumer)
	s.pulls.out = append(s.pulls.out, &nats.Msg{Subject: subject, Reply: inbox, Data: body})
}

// post sends pull requests. One that cannot be sent is forgotten with the connection. The lock is
// not held: the client may wait for a server that does not read.
func (s *Stream) post(requests []*nats.Msg) {
	if len(requests) == 0 {
		return
	}
	_ = s.b.life.Tasks.Await(s.ctx, func() error {
		for _, m := range requests {
			if err := s.b.link.nc.PublishMsg(m); err != nil {
				return err
			}
		}
		return nil
	})
}

// api returns a subject of the JetStream API.
func (b *Broker) api(call string) string {
	if b.o.Domain != "" {
		return "$JS." + b.o.Domain + ".API." + call
	}
	return "$JS.API." + call
}

// status handles what is not a message. The lock is not held.
func (s *Stream) status(m *nats.Msg, session int) {
	status, description := m.Header.Get("Status"), m.Header.Get("Description")
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.pulls
	if session != p.session || s.closed {
		return
	}
	p.gone = false
	token := strings.TrimPrefix(m.Subject, p.inbox)
	number, _ := strconv.ParseUint(token, 36, 64)
	i := slices.IndexFunc(p.open, func(o pull) bool { return o.number == number })
	if i >= 0 && token != pinToken {
		events, bytes := p.open[i].events, p.open[i].bytes
		if left := m.Header.Get("Nats-Pending-Messages"); left != "" {
			events, _ = strconv.Atoi(left)
			bytes, _ = strconv.Atoi(m.Header.Get("Nats-Pending-Bytes"))
		}
		p.end(i, max(events, 0), bytes)
	}
	switch {
	case status == "423": // the pin is gone, or the consumer
		s.lookSoon()
	case status == "408", status == "404", strings.Contains(description, "Batch Completed"):
		s.lost.Set(nil)
	case strings.Contains(description, "MaxBytes"):
		if s.lost.Set(nil); token != pinToken {
			_, bytes := s.held()
			p.tight = max(bytes, 1)
		}
	default:
		code := leat.CodeUnavailable
		if status == "503" || strings.Contains(description, "Deleted") {
			code = leat.CodeNotFound
			s.doubt()
		}
		err := fmt.Errorf("the consumer %q answers %s %s", s.consumer, status, description)
		s.lost.Set(&leat.Error{Code: code, Err: err})
		p.again = time.Now().Add(time.Second)
	}
	lifecycle.Signal(s.poke)
}

// run keeps the stream going. The lock is not held.
func (s *Stream) run() {
	tick := lookEvery / 2
	if s.ordered {
		tick = min(tick, s.pinnedTTL/6)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.poke:
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		wait := tick
		if s.keeper != nil {
			wait = min(wait, s.look())
		}
		s.mu.Lock()
		wait = min(wait, s.ask(time.Now()))
		s.keepPin()
		silent := s.pulls.gone && s.b.link.alive()
		if silent {
			s.lost.Set(errors.New("the server does not answer requests for messages"))
			s.renew()
		}
		gone := s.keeper == nil && leat.CodeOf(s.lost.Err) == leat.CodeNotFound && !s.closed
		requests := s.pulls.out
		s.pulls.out = nil
		s.mu.Unlock()
		s.post(requests)
		if gone {
			s.restoreBroadcast()
		}
		s.tell()
		timer.Reset(max(wait, time.Millisecond))
	}
}

// restoreBroadcast makes the consumer of a broadcast again that a server has lost. The lock is not
// held.
func (s *Stream) restoreBroadcast() {
	err := s.b.do(s.ctx, s.createBroadcast)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost.Set(&leat.Error{Code: leat.CodeNotFound, Err: fmt.Errorf("the consumer is gone, and cannot be made again: %w", err)})
		return
	}
	s.pulls.again = time.Time{}
	s.lost.Set(nil)
	lifecycle.Signal(s.poke)
}

// reconnected begins anew with a connection. The lock is not held.
func (s *Stream) reconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.lost.Set(nil)
		s.unheard.Set(nil) // of what is not lent any more, no ack will be confirmed
		s.renew()
	}
	lifecycle.Signal(s.poke)
}

// stopPulling ends the requests, and waits for what is on its way. The lock is not held.
func (s *Stream) stopPulling(ctx context.Context) {
	s.mu.Lock()
	sub := s.pulls.sub
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pulls.drained = true
	}()
	if sub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, min(lostAfter, s.b.o.CloseTimeout/4))
	defer cancel()
	done := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(done) })
	err := s.b.link.do(ctx, func(context.Context) error { return sub.Drain() })
	if err != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}
