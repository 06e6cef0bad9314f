package eventtest_test

import (
	"context"
	"net"
	"net/rpc"
	"slices"
	"sync"
	"time"
)

// exampleServer is the message broker of the example adapter: a small one of the common kind, which
// knows nothing of CloudEvents. A topic copies each message to its queues. One consumer at a time
// has a queue. The server lends it messages for a term, and takes back what it does not extend.
// What is published is kept when the server is killed, and so are terms.
type exampleServer struct {
	term time.Duration
	addr string

	mu       sync.Mutex // guards everything below, in queues too
	topics   map[string][]*exampleQueue
	queues   map[string]*exampleQueue
	receipts uint64
	listener net.Listener // nil while the server is dead
	conns    map[net.Conn]struct{}
	serving  sync.WaitGroup
}

// exampleQueue has the messages of a group that are not acked.
type exampleQueue struct {
	label     string
	temporary bool
	messages  []*stored     // in the order in which they were published
	last      uint64        // id
	epoch     uint64        // of the consumer that has the queue; another one is another epoch
	until     time.Time     // when the consumer loses it, unless it calls again
	changed   chan struct{} // closed when a Pull that waits must look again
}

type stored struct {
	Lent

	at    time.Time // when it was published
	until time.Time // it is lent until then
}

func (m *stored) lent(now time.Time) bool { return m.until.After(now) }

// startExampleServer returns a server that listens on 127.0.0.1.
func startExampleServer(term time.Duration) (*exampleServer, error) {
	sv := &exampleServer{
		term: term, addr: "127.0.0.1:0",
		topics: map[string][]*exampleQueue{}, queues: map[string]*exampleQueue{},
		conns: map[net.Conn]struct{}{},
	}
	return sv, sv.start(context.Background())
}

// start listens, at the address of before.
func (sv *exampleServer) start(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", sv.addr)
	if err != nil {
		return err
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.listener, sv.addr = l, l.Addr().String()
	sv.serving.Go(func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			sv.serving.Go(func() { sv.serve(conn) })
		}
	})
	return nil
}

// kill ends the listener and all connections.
func (sv *exampleServer) kill() {
	sv.mu.Lock()
	_ = sv.listener.Close()
	sv.listener = nil
	for conn := range sv.conns {
		_ = conn.Close()
	}
	sv.mu.Unlock()
	sv.serving.Wait()
}

// serve answers the calls of a connection.
func (sv *exampleServer) serve(conn net.Conn) {
	sv.mu.Lock()
	alive := sv.listener != nil
	if alive {
		sv.conns[conn] = struct{}{}
	}
	sv.mu.Unlock()
	defer conn.Close() //nolint:errcheck // it is over
	if !alive {
		return
	}
	s := &session{server: sv, gone: make(chan struct{}), stops: map[uint64]chan struct{}{}}
	calls := rpc.NewServer()
	_ = calls.RegisterName("Broker", s)
	calls.ServeConn(noticed{conn, sync.OnceFunc(func() { close(s.gone) })})
	sv.mu.Lock()
	defer sv.mu.Unlock()
	delete(sv.conns, conn)
}

// noticed is a connection that tells when it is lost.
type noticed struct {
	net.Conn

	lost func()
}

func (c noticed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.lost()
	}
	return n, err
}

// wake lets each Pull that waits look again. The lock of the server is held.
func (q *exampleQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// session serves the calls of one connection.
type session struct {
	server *exampleServer
	gone   chan struct{} // closed when the connection is lost

	mu    sync.Mutex
	stops map[uint64]chan struct{} // by the tickets of Pulls; closed by Stop
}

// Ping answers.
func (*session) Ping(struct{}, *struct{}) error { return nil }

// Declare creates what is not there.
func (s *session) Declare(d Declaration, _ *struct{}) error {
	sv := s.server
	sv.mu.Lock()
	defer sv.mu.Unlock()
	q := sv.queues[d.Queue]
	if q == nil && d.Open && !d.Temporary {
		return errNoQueue
	}
	if _, ok := sv.topics[d.Topic]; !ok {
		sv.topics[d.Topic] = nil
	}
	switch {
	case d.Temporary && !d.Open:
	case q == nil:
		q = &exampleQueue{label: d.Label, temporary: d.Temporary, changed: make(chan struct{})}
		sv.queues[d.Queue] = q
		sv.topics[d.Topic] = append(sv.topics[d.Topic], q)
	case q.label != d.Label:
		return errOtherLabel
	}
	return nil
}

// Publish stores messages. Its answer tells for each of them whether its topic exists.
func (s *session) Publish(messages []Message, found *[]bool) error {
	sv := s.server
	sv.mu.Lock()
	defer sv.mu.Unlock()
	now := time.Now()
	for _, m := range messages {
		queues, ok := sv.topics[m.Topic]
		*found = append(*found, ok)
		for _, q := range queues {
			q.last++
			q.messages = append(q.messages, &stored{Lent: Lent{ID: q.last, Message: m}, at: now})
			q.wake()
		}
	}
	return nil
}

// Pull waits for messages. A consumer without the queue, whose Epoch is 0, stands by until it gets
// the queue. One that lost it is told so by the answer's Epoch.
func (s *session) Pull(p PullRequest, a *PullAnswer) error {
	sv, stop, over := s.server, s.stop(p.Ticket), time.After(p.Wait)
	defer s.forget(p.Ticket)
	tick := time.NewTicker(sv.term / 50)
	defer tick.Stop()
	for last := false; ; {
		sv.mu.Lock()
		q := sv.queues[p.Queue]
		if q == nil {
			sv.mu.Unlock()
			return errNoQueue
		}
		changed := q.changed
		answered := q.pull(sv, &p, a)
		sv.mu.Unlock()
		if answered || last {
			return nil
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-stop:
			last = true
		case <-over:
			last = true
		case <-s.gone:
			return nil
		}
	}
}

// pull answers p if that is possible now. The lock is held.
func (q *exampleQueue) pull(sv *exampleServer, p *PullRequest, a *PullAnswer) bool {
	now, took := time.Now(), false
	switch {
	case p.Epoch == q.epoch && p.Epoch != 0:
	case p.Epoch != 0:
		return true // it has lost the queue
	case now.Before(q.until):
		return false
	default:
		q.leave()
		took = true
	}
	a.Epoch, q.until = q.epoch, now.Add(sv.term)
	if !p.seen {
		p.seen = true
		q.free(func(m *stored) bool { return !slices.Contains(p.Held, m.Receipt) })
	}
	bytes := 0
	for _, m := range q.messages {
		size := m.Message.size()
		switch {
		case len(a.Messages) == p.Events, bytes+size > p.Bytes && (bytes > 0 || len(p.Held) > 0):
			return true
		case m.lent(now):
			continue
		}
		sv.receipts++
		m.Receipt, m.until = sv.receipts, now.Add(sv.term)
		m.Deliveries++
		bytes += size
		a.Messages = append(a.Messages, m.Lent)
	}
	return took || bytes > 0
}

// leave takes the queue from its consumer, with all that was lent to it. The lock is held.
func (q *exampleQueue) leave() {
	q.epoch++
	q.until = time.Time{}
	q.free(func(*stored) bool { return true })
	q.wake()
}

// free takes back what is lent. The lock is held.
func (q *exampleQueue) free(lost func(m *stored) bool) {
	for _, m := range q.messages {
		if m.until != (time.Time{}) && lost(m) {
			m.until = time.Time{}
		}
	}
}

// Stop makes a Pull answer now.
func (s *session) Stop(ticket uint64, _ *struct{}) error {
	close(s.stop(ticket))
	return nil
}

// stop returns what Stop closes. The Pull may come after it.
func (s *session) stop(ticket uint64) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stops[ticket] == nil {
		s.stops[ticket] = make(chan struct{})
	}
	return s.stops[ticket]
}

func (s *session) forget(ticket uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.stops, ticket)
}

// Settle acks, extends or gives back messages. Its answer tells for each of them whether the
// consumer still had it.
func (s *session) Settle(r SettleRequest, had *[]bool) error {
	sv := s.server
	sv.mu.Lock()
	defer sv.mu.Unlock()
	q, now := sv.queues[r.Queue], time.Now()
	if q == nil {
		return errNoQueue
	}
	for _, receipt := range r.Receipts {
		at := slices.IndexFunc(q.messages, func(m *stored) bool {
			return m.Receipt == receipt && m.lent(now)
		})
		*had = append(*had, at >= 0)
		if at < 0 {
			continue
		}
		q.until = now.Add(sv.term)
		switch m := q.messages[at]; {
		case r.Extend:
			m.until = now.Add(sv.term)
		case r.Ack:
			q.messages = slices.Delete(q.messages, at, at+1)
		default:
			m.until = time.Time{}
		}
	}
	q.wake()
	return nil
}

// Leave lets another consumer have the queue, unless another one has it already.
func (s *session) Leave(l Leaving, _ *struct{}) error {
	sv := s.server
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if q := sv.queues[l.Queue]; q != nil && q.epoch == l.Epoch {
		q.leave()
		if q.temporary {
			delete(sv.queues, l.Queue)
			for topic, queues := range sv.topics {
				sv.topics[topic] = slices.DeleteFunc(queues, func(o *exampleQueue) bool { return o == q })
			}
		}
	}
	return nil
}

// Stat tells how much there is in a queue.
func (s *session) Stat(queue string, a *StatAnswer) error {
	sv := s.server
	sv.mu.Lock()
	defer sv.mu.Unlock()
	q, now := sv.queues[queue], time.Now()
	if q == nil {
		return errNoQueue
	}
	a.Messages = int64(len(q.messages))
	for i, m := range q.messages {
		if i == 0 {
			a.Oldest = now.Sub(m.at)
		}
		if m.lent(now) {
			a.Held++
		}
	}
	return nil
}

// expire takes a queue from its consumer, as if its terms had run out.
func (sv *exampleServer) expire(queue string) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.queues[queue].leave()
}
