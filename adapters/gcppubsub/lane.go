package gcppubsub

import (
	"cmp"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	mostMessages     = 1000 // in a request
	mostRequestBytes = 9_000_000
	mostKeyless      = 4 // requests at a time of a topic's events without a key
)

// laneID is a topic and an ordering key. Pub/Sub takes messages of one key in a request.
type laneID struct{ topic, key string }

// lane is the events of a topic and a key that wait. It is forgotten when there are none.
type lane struct {
	id      laneID
	path    string // of the topic
	queue   publish.Queue[parcel]
	running int  // requests
	listed  bool // it waits for a worker
	narrow  int  // events in a request, at most, after one was refused; 0 while there is no such bound
}

// most is how many requests of a lane run at a time: one with a key, so that order is kept.
func (l *lane) most() int {
	if l.id.key != "" {
		return 1
	}
	return mostKeyless
}

// accept takes entries that are admitted.
func (p *publisher) accept(topic string, entries []publish.Entry[parcel]) {
	path, _ := p.b.topicPath(topic)
	p.mu.Lock()
	defer p.mu.Unlock()
	var l *lane
	for i := range entries {
		id := laneID{topic, entries[i].Value.key}
		if l == nil || l.id != id {
			l = p.lane(id, path)
		}
		l.queue.Push(&entries[i])
		p.list(l)
	}
}

// lane returns the lane of an id. The lock is held.
func (p *publisher) lane(id laneID, path string) *lane {
	l := p.lanes[id]
	if l == nil {
		l = &lane{id: id, path: path}
		p.lanes[id] = l
	}
	return l
}

// list lets a lane wait for a worker, if it may have another request. The lock is held.
func (p *publisher) list(l *lane) {
	if l.listed || l.running >= l.most() {
		return
	}
	l.listed = true
	p.ready = append(p.ready, l)
	if p.workers < p.b.o.Requests {
		p.workers++
		p.b.life.Tasks.Go(p.work)
	}
}

// next takes a lane from those that wait. A worker that gets none has ended.
func (p *publisher) next() *lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 || p.ctx.Err() != nil {
		p.workers--
		return nil
	}
	l := p.ready[0]
	p.ready[0] = nil
	if p.ready = p.ready[1:]; len(p.ready) == 0 {
		p.ready = nil
	}
	l.listed = false
	l.running++
	return l
}

// end notes the end of a request, or that more of a lane may go while the request runs.
func (p *publisher) end(l *lane, requests int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.running -= requests
	switch {
	case !l.queue.Empty():
		p.list(l)
	case l.running == 0 && !l.listed:
		delete(p.lanes, l.id)
	}
}

// work sends what lanes have until none waits. While there is no connection nothing is begun.
func (p *publisher) work() {
	var pause lifecycle.Pause
	for {
		if err := p.connect(); err != nil {
			if p.ctx.Err() != nil {
				p.next() // which ends the worker
				return
			}
			p.unconnected(err)
			pause.Sleep(p.ctx)
			continue
		}
		l := p.next()
		if l == nil {
			p.connected()
			return
		}
		well := p.send(l)
		p.end(l, 1)
		if well {
			pause.Reset()
		} else {
			pause.Sleep(p.ctx)
		}
	}
}

// connect waits for a connection while one is being made. It returns why there is none.
func (p *publisher) connect() error {
	ctx, cancel := p.b.bounded(p.ctx)
	defer cancel()
	return p.link.ready(ctx)
}

// send sends a batch of what waits in a lane. It returns false when the next request should wait.
func (p *publisher) send(l *lane) bool {
	batch := l.take(p.width(l))
	if len(batch) == 0 {
		return true
	}
	p.end(l, 0)
	return p.ship(l, batch)
}

// width returns how many events a request of a lane may have.
func (p *publisher) width(l *lane) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(l.narrow, mostMessages)
}

// widen sets the width after a request with so many events. One event that is wrong refuses all of
// a request, so a refused one goes again an event at a time, and with twice as many after each that
// is accepted.
func (p *publisher) widen(l *lane, events int, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case refused:
		l.narrow = 1
	case l.narrow > 0:
		if l.narrow = 2 * events; l.narrow >= mostMessages {
			l.narrow = 0
		}
	}
}

// take takes what fits into one request of up to most events.
func (l *lane) take(most int) (batch []*publish.Entry[parcel]) {
	size := 0
	want := func(e *publish.Entry[parcel]) bool {
		return len(batch) == 0 || len(batch) < most && size+len(e.Value.raw) <= mostRequestBytes
	}
	for e := l.queue.Hold(want); e != nil; e = l.queue.Hold(want) {
		size += len(e.Value.raw)
		batch = append(batch, e)
	}
	return batch
}

// ship sends entries in one request, and gives each its outcome, or lets them wait again when
// nothing has left. It returns false when the next request should wait.
func (p *publisher) ship(l *lane, batch []*publish.Entry[parcel]) bool {
	batch, sent, err := p.post(l.path, batch)
	if len(batch) == 0 { // all were withdrawn
		return true
	}
	refused := status.Code(err) == codes.InvalidArgument // any other refusal is about the topic
	switch {
	case err != nil && !sent && waits(err):
		l.putBack(batch)
		p.unconnected(err)
		return false
	case !sent && status.Code(err) == codes.Unauthenticated: // there is no token now
		l.putBack(batch)
		p.note(outcome(sent, err))
		return false
	case refused && len(batch) > 1: // then none of them is stored, and one of them may be wrong
		p.widen(l, len(batch), true)
		l.putBack(batch)
		return true
	case err != nil:
		err = outcome(sent, err)
	}
	p.widen(l, len(batch), refused)
	switch leat.CodeOf(err) {
	case leat.CodeUnknown, leat.CodeExhausted, leat.CodeUnauthenticated, leat.CodeUnavailable:
		p.note(err)
	default: // what concerns one topic or one event
		p.note(nil)
	}
	for _, e := range batch {
		e.Done(err)
	}
	return leat.CodeOf(err) != leat.CodeExhausted
}

// putBack lets entries wait again, in front of those that wait.
func (l *lane) putBack(batch []*publish.Entry[parcel]) {
	for _, e := range slices.Backward(batch) {
		l.queue.PutBack(e)
	}
}
