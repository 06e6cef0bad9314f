package watermill

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
)

// publisher publishes events through a Watermill Publisher, one message a call: the error of a call
// with several does not say which of them were stored. As such a call blocks as long as it likes,
// and most Publishers send one message after the other, there are lanes: a lane is a queue of
// events and, while there are any, a goroutine that publishes them in order.
type publisher struct {
	o      *Options
	pub    message.Publisher
	ledger *publish.Ledger[job]
	seed   maphash.Seed
	next   atomic.Uint64 // lane of the next event without a key

	failure failure

	mu    sync.Mutex
	ended bool // the Publisher is not called any more, except by lanes that run
	lanes []lane
	idle  sync.WaitGroup // goroutines of lanes and calls that are inline
}

// lane is guarded by publisher.mu.
type lane struct {
	queue   publish.Queue[job]
	running bool
}

// outgoing is an event that was taken.
type outgoing = publish.Entry[job]

func newPublisher(pub message.Publisher, o *Options) *publisher {
	p := &publisher{o: o, pub: pub, seed: maphash.MakeSeed(), lanes: make([]lane, o.Lanes)}
	p.ledger = publish.New[job](publish.Options{
		Events: o.Buffer, Bytes: o.BufferBytes, Timeout: o.DeliveryTimeout, Trouble: p.failure.last,
	})
	return p
}

// inline publishes what was admitted in the goroutine of the caller.
func (p *publisher) inline(entries []outgoing) {
	p.mu.Lock()
	ended := p.ended
	if !ended {
		p.idle.Add(1)
	}
	p.mu.Unlock()
	if ended {
		return // they have their outcomes
	}
	defer p.idle.Done()
	for i := range entries {
		if e := &entries[i]; e.Begin() {
			e.Done(p.send(e))
		}
	}
}

// accept puts what was admitted into its lanes.
func (p *publisher) accept(entries []outgoing) {
	for i := range entries {
		e := &entries[i]
		var n uint64
		if key := e.Event().Key(); key != "" {
			n = maphash.String(p.seed, key)
		} else {
			n = p.next.Add(1)
		}
		l := &p.lanes[n%uint64(len(p.lanes))]
		l.queue.Push(e)
		p.mu.Lock()
		if !l.running && !p.ended {
			l.running = true
			p.idle.Go(func() { p.run(l) })
		}
		p.mu.Unlock()
	}
}

// run publishes what is in a lane until that is empty.
func (p *publisher) run(l *lane) {
	for {
		p.mu.Lock()
		e := l.queue.Next(nil)
		l.running = e != nil
		p.mu.Unlock()
		if e == nil {
			return
		}
		e.Done(p.send(e))
		e.Value.returned()
	}
}

// send publishes one event. A panic of the Publisher is an error of that event.
func (p *publisher) send(e *outgoing) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the Publisher panicked: %T", v)
		}
		p.failure.note(err)
		if err == nil {
			return
		}
		code := leat.CodeUnknown
		if p.o.Refused != nil {
			code = cmp.Or(p.o.Refused(err), code)
		}
		err = &leat.Error{Code: code, Err: err}
	}()
	m, err := p.o.Codec.Message(e.Event())
	if err != nil {
		return err
	}
	addTrace(m, e.Value.trace)
	if !p.o.Inline { // else nobody waits for a Publisher
		m.SetContext(&e.Value)
	}
	return p.pub.Publish(e.Topic(), m)
}

// close refuses further events, waits until ctx ends for those that were taken, and gives up what
// is left. It reports whether no call of the Publisher runs any more.
func (p *publisher) close(ctx context.Context) (quiet bool) {
	p.ledger.Close(ctx)
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	return await(ctx, func() error { p.idle.Wait(); return nil }) == nil
}
