package watermill

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
)

// publisher publishes events through a Watermill Publisher, one message a call: the error of a call with several does not say which of
// them were stored. As such a call blocks as long as it likes, and most Publishers send one message after the other, there are lanes: a
// lane is a queue of events and, while there are any, a goroutine that publishes them in order.
type publisher struct {
	o    *Options
	pub  message.Publisher
	seed maphash.Seed
	room room
	next atomic.Uint64 // lane of the next event without a key
	stop chan struct{} // closed by close

	failure failure

	mu     sync.Mutex
	closed bool
	lanes  []lane
	due    []*job // those without an answer, oldest first
	timer  *time.Timer
	idle   sync.WaitGroup // goroutines of lanes and calls that are inline
}

// lane is guarded by publisher.mu.
type lane struct {
	queue   []*job
	running bool
}

// job is an event that was taken.
type job struct {
	topic string
	event leat.Event
	trace *leat.TraceContext
	size  int
	due   time.Time
	begun bool // guarded by publisher.mu
	over  bool // likewise
	index int
	done  func(i int, err error)
	// end is closed when the event is withdrawn and over when its outcome is told. They are nil until a Publisher looks at the message's
	// context. publisher.mu guards them.
	end, told chan struct{}
	withdrawn bool // guarded by publisher.mu
	p         *publisher
}

func newPublisher(pub message.Publisher, o *Options) *publisher {
	p := &publisher{o: o, pub: pub, seed: maphash.MakeSeed(), stop: make(chan struct{}), lanes: make([]lane, o.Lanes)}
	p.room.most, p.room.mostBytes = o.Buffer, o.BufferBytes
	return p
}

// publish is Publish of [Broker].
func (p *publisher) publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	trace := leat.TraceFrom(ctx)
	for i, e := range events {
		if err := p.refusal(ctx, topic, e); err != nil {
			done(i, err)
			continue
		}
		if p.o.Inline {
			p.inline(topic, e, trace, i, done)
			continue
		}
		size := e.Size()
		if !p.room.enter(ctx, size, p.stop) {
			err := p.refusal(ctx, topic, e)
			if err == nil {
				err = closedError("publish", topic, e.ID())
			}
			done(i, err)
			continue
		}
		if !p.start(&job{p: p, topic: topic, event: e, trace: trace, size: size, index: i, done: done}) {
			p.room.exit(size)
			done(i, closedError("publish", topic, e.ID()))
		}
	}
}

// refusal returns why an event is not taken, or nil.
func (p *publisher) refusal(ctx context.Context, topic string, e leat.Event) error {
	select {
	case <-p.stop:
		return closedError("publish", topic, e.ID())
	default:
	}
	var code leat.Code
	var err error
	switch {
	case ctx.Err() != nil:
		code, err = leat.CodeCanceled, endOf(ctx)
	case e.IsZero():
		code, err = leat.CodeInvalid, errors.New("the zero Event is no event")
	case e.Size() > p.o.MaxEventBytes:
		code, err = leat.CodeTooLarge, fmt.Errorf("the event has %d bytes; at most %d are allowed", e.Size(), p.o.MaxEventBytes)
	default:
		return nil
	}
	return &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: err}
}

// inline publishes an event in the goroutine of the caller.
func (p *publisher) inline(topic string, e leat.Event, trace *leat.TraceContext, i int, done func(i int, err error)) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		done(i, closedError("publish", topic, e.ID()))
		return
	}
	p.idle.Add(1)
	p.mu.Unlock()
	defer p.idle.Done()
	done(i, p.send(nil, topic, e, trace))
}

// start puts a job into its lane, unless the publisher is closed.
func (p *publisher) start(j *job) bool {
	var n uint64
	if key := j.event.Key(); key != "" {
		n = maphash.String(p.seed, key)
	} else {
		n = p.next.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	j.due = time.Now().Add(p.o.DeliveryTimeout)
	p.due = append(p.due, j)
	if p.timer == nil {
		p.timer = time.AfterFunc(p.o.DeliveryTimeout, p.expire)
	}
	l := &p.lanes[n%uint64(len(p.lanes))]
	l.queue = append(l.queue, j)
	if !l.running {
		l.running = true
		p.idle.Go(func() { p.run(l) })
	}
	return true
}

// run publishes what is in a lane until that is empty.
func (p *publisher) run(l *lane) {
	for {
		p.mu.Lock()
		for len(l.queue) > 0 && l.queue[0].over {
			p.room.exit(l.queue[0].size)
			l.queue = l.queue[1:]
		}
		if len(l.queue) == 0 {
			l.running, l.queue = false, nil
			p.mu.Unlock()
			return
		}
		j := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		j.begun = true
		p.mu.Unlock()
		p.finish(j, p.send(j, j.topic, j.event, j.trace))
		p.room.exit(j.size)
	}
}

// send publishes one event, of a job unless it is inline. A panic of the Publisher is an error of that event.
func (p *publisher) send(j *job, topic string, e leat.Event, trace *leat.TraceContext) (err error) {
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
			if refused := p.o.Refused(err); refused != 0 {
				code = refused
			}
		}
		err = &leat.Error{Op: "publish", Topic: topic, EventID: e.ID(), Code: code, Err: err}
	}()
	m, err := p.o.Codec.Message(e)
	if err != nil {
		return err
	}
	addTrace(m, trace)
	if j != nil {
		m.SetContext(j)
	}
	return p.pub.Publish(topic, m)
}

// finish reports the outcome of a job, unless that was done before.
func (p *publisher) finish(j *job, err error) {
	p.mu.Lock()
	over := j.over
	j.over = true
	if j.told != nil && !over {
		defer close(j.told)
	}
	for len(p.due) > 0 && p.due[0].over {
		p.due[0] = nil
		p.due = p.due[1:]
	}
	p.mu.Unlock()
	if !over {
		j.done(j.index, err)
	}
}

// expire reports the jobs that have no answer by their time: what was not begun is refused, and dropped; the outcome of the others is
// unknown, and they keep their room until the Publisher answers.
func (p *publisher) expire() {
	p.mu.Lock()
	now := time.Now()
	var late []*job
	for len(p.due) > 0 && (p.due[0].over || !p.due[0].due.After(now)) {
		if j := p.due[0]; !j.over {
			j.over = true
			late = append(late, j)
		}
		p.due[0] = nil
		p.due = p.due[1:]
	}
	p.timer = nil
	if len(p.due) > 0 && !p.closed {
		p.timer = time.AfterFunc(time.Until(p.due[0].due), p.expire)
	}
	p.mu.Unlock()
	p.abandon(late, fmt.Errorf("no answer within the DeliveryTimeout of %v", p.o.DeliveryTimeout), leat.CodeUnavailable)
}

// abandon reports jobs that were given up; code is for those that were not begun.
func (p *publisher) abandon(jobs []*job, err error, code leat.Code) {
	for _, j := range jobs {
		failed := &leat.Error{Op: "publish", Topic: j.topic, EventID: j.event.ID(), Code: code, Err: err}
		if j.begun { // it is not begun any more when it is over
			failed.Code = leat.CodeUnknown
		}
		j.done(j.index, failed)
	}
}

// close refuses further events, waits until ctx ends for those that were taken, and gives up what is left. It reports whether no call of
// the Publisher runs any more.
func (p *publisher) close(ctx context.Context) (quiet bool) {
	p.mu.Lock()
	p.closed = true
	close(p.stop)
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		p.idle.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		quiet = true
	case <-ctx.Done():
	}
	p.mu.Lock()
	var left []*job
	for _, j := range p.due {
		if j != nil && !j.over {
			j.over = true
			left = append(left, j)
		}
	}
	p.due = nil
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	p.abandon(left, errors.New("the Broker was closed before the Publisher answered"), leat.CodeClosed)
	return quiet
}
