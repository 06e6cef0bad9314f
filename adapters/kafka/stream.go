package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Stream is a member of a consumer group, or a broadcast. It implements [leat.Stream] and
// [leat.HealthReporter]. Its lease is the assignment of one partition.
//
// It is no [leat.Quiescer]: without Receive the client fetches no more than once from each broker,
// which nothing counts, and what is given back stays here until its lease ends.
//
// Stream.mu guards everything that is not Receive's own. It is not held while the client, a lease
// or other code from outside is called.
type Stream struct {
	broker   *Broker
	sub      leat.Subscription
	caps     leat.Capabilities
	client   *kgo.Client
	conns    *connections
	cancel   context.CancelFunc // ends the client's context
	member   int                // the number of a static member; 0 for others
	decoder  decoder            // Receive's own
	paused   map[int32]bool     // Receive's own: the partitions that the client does not fetch from
	commit   committer
	presence *presence         // nil for a broadcast
	leases   *leat.TimedLeases // of the group's session; nil for a broadcast
	wg       sync.WaitGroup    // the goroutines of the stream
	quit     chan struct{}     // closed when Close begins
	gone     chan struct{}     // closed when it ends

	mu      sync.Mutex
	closed  bool
	fatal   error             // why the stream is over although it is not closed
	tenures map[int32]*tenure // by partition
	// How far the tenures that are over had come, by partition. It lets a stream that lost a
	// partition in an outage and gets it back go on where it was.
	progress map[int32]progress
	topic    topicID            // of the topic as it was when the stream last asked
	notes    map[int32]readNote // by partition, from the client's fetch of offsets to fetched
	// What was polled and not delivered, in order. Receive takes from its start; whoever ends a
	// tenure marks it.
	polled   []chunk
	full     bool
	resuming bool               // the group has answered again: the suspended tenures may go on
	book     *book.Book[place]  // what is in flight
	signal   chan struct{}      // holds a token when Receive should look again
	poll     context.CancelFunc // ends the poll that waits; nil when none does
	idle     chan struct{}      // closed when no records are on their way from the client into polled; nil when none are
	ill      illness
	ident    identity
	anew     bool // the next session of the group fails: consumeAnew
	starting int  // calls of revoked and assigned, behind which the client asks for offsets
	garbled  garbled

	silence fault.Incident // the group does not answer
	trouble fault.Incident // what health says of the stream
	unread  fault.Incident // records cannot be read
}

var (
	_ leat.Stream         = (*Stream)(nil)
	_ leat.HealthReporter = (*Stream)(nil)
)

// Capabilities implements [leat.Stream].
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// Client returns the native client that consumes, for what Leat does not cover. It must not be
// polled or closed, and offsets must not be committed with it.
func (s *Stream) Client() *kgo.Client { return s.client }

// Receive implements [leat.Stream].
func (s *Stream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, &leat.Error{Op: "receive", Topic: s.sub.Topic, Code: leat.CodeCanceled, Err: err}
		}
		s.resumeSuspended()
		s.resumePartitions()
		n, room, err := s.fill(into)
		if n > 0 || err != nil {
			return n, err
		}
		if room {
			s.pollRecords(ctx)
			continue
		}
		select {
		case <-s.signal:
		case <-ctx.Done():
		}
	}
}

// fill delivers what it has. room says, when there was nothing to deliver, that something could be
// delivered if it were polled.
func (s *Stream) fill(into []leat.Delivery) (n int, room bool, err error) {
	s.mu.Lock()
	if s.closed || s.fatal != nil {
		err := s.fatal
		s.mu.Unlock()
		if err == nil {
			err = s.broker.life.ErrClosed("receive", s.sub.Topic)
		}
		return 0, false, err
	}
	s.full = false
	if n = s.book.Fill(into); n > 0 { // what was given back, or waited for room
		s.mu.Unlock()
		return n, false, nil
	}
	batch := s.cut(into)
	s.mu.Unlock()
	for i := range batch { // without the lock, which every settlement needs; a Mapping is code from outside
		into[i] = leat.Delivery{}
		switch c := &batch[i]; {
		case c.bad != nil:
			into[i].Malformed = c.bad.malformed()
		case !c.isMarker():
			s.decoder.decode(c.record, &into[i])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.track(into, batch)
	n = s.book.Fill(into)
	if n == 0 {
		held, _ := s.book.Held()
		room = !s.book.Short() && !s.ready() && held < s.sub.MaxInFlight
		if len(batch) > 0 { // all of it was dropped or held: look again
			room = false
			s.wake()
		}
		s.full = !room
	}
	return n, room, nil
}

// candidate is a record on its way into a delivery.
type candidate struct {
	tenure *tenure
	record *kgo.Record
	bad    *unreadable // instead of a record
	size   int
}

// chunk is the candidate where it came from.
func (c *candidate) chunk() chunk {
	if c.bad != nil {
		return chunk{tenure: c.tenure, bad: c.bad}
	}
	return chunk{tenure: c.tenure, records: []*kgo.Record{c.record}}
}

// isMarker reports whether the record is the end of a transaction, which is no delivery.
func (c *candidate) isMarker() bool { return c.record != nil && c.record.Attrs.IsControl() }

// ready reports whether something polled may be delivered. The lock is held.
func (s *Stream) ready() bool {
	return slices.ContainsFunc(s.polled, func(c chunk) bool { return !c.tenure.waits() })
}

// cut takes polled records for the deliveries in into, as far as the limits leave room.
func (s *Stream) cut(into []leat.Delivery) []candidate {
	batch := s.decoder.batch[:0]
	events, bytes := s.book.Out()
	fits := func(n *candidate) bool {
		return len(batch) < len(into) && events < s.sub.MaxInFlight && (events == 0 || bytes+n.size <= s.sub.MaxInFlightBytes)
	}
	short := s.book.Short()
	for i := range s.polled {
		c := &s.polled[i]
		for !short && !c.tenure.waits() && !c.empty() {
			next := c.first()
			if short = !fits(&next); short { // what is behind must not overtake
				break
			}
			batch = append(batch, next)
			c.cut()
			if !next.isMarker() {
				events++
				bytes += next.size
			}
		}
	}
	s.polled = slices.DeleteFunc(s.polled, func(c chunk) bool { return c.empty() })
	s.decoder.batch = batch
	return batch
}

// track enters what was decoded into the windows. Records of a partition that has moved in the
// meantime are dropped. Those of one whose lease is over go back to the others that were polled,
// and watchPresence suspends it.
func (s *Stream) track(into []leat.Delivery, batch []candidate) {
	var last *tenure
	var again []chunk
	over := false
	for i := range batch {
		c := &batch[i]
		if c.tenure != last { // the clock is read once for all records of a tenure
			last, over = c.tenure, c.tenure.suspended || c.tenure.lease.Ended()
		}
		switch {
		case c.tenure.draining:
		case over:
			again = append(again, c.chunk())
		case c.isMarker():
			c.tenure.skip(c.record)
			if !s.sub.Broadcast {
				s.commit.soon()
			}
		case c.bad != nil:
			c.tenure.push(&into[i], 0, c.bad.asPlace())
		default:
			c.tenure.push(&into[i], c.size, place{offset: c.record.Offset, epoch: c.record.LeaderEpoch})
		}
	}
	if len(again) > 0 {
		s.polled = append(again, s.polled...)
		s.presence.tell()
	}
	clear(into[:len(batch)])
	clear(batch)
}

// keepBook makes the stream's book.
func (s *Stream) keepBook() {
	s.book = book.New[place](&s.mu, book.Options{
		MaxInFlight: s.sub.MaxInFlight, MaxInFlightBytes: s.sub.MaxInFlightBytes, Acks: book.Position, Timed: !s.sub.Broadcast, Wake: s.wake,
	})
}

// Settle implements [leat.Stream].
func (s *Stream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, number, ok := s.book.Find(d)
	if !ok {
		return
	}
	t := w.Of(number).tenure
	switch how.Action {
	case leat.Ack:
		t.finish(number)
	case leat.GiveBack:
		w.GiveBack(number, 0)
		return
	default:
		return // there is no NativeReject
	}
	if !s.sub.Broadcast {
		s.commit.soon()
	}
	if s.full || t.paused && t.gap() <= s.broker.o.GapLimit/2 {
		s.wake()
	}
}

// wake makes Receive look again. The lock is held.
func (s *Stream) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
	if s.poll != nil {
		s.poll()
	}
}

// pollRecords takes what the client has into polled, and waits for the first record. It takes all
// at once, more than may be in flight if need be, since the client fetches from a broker again only
// when what it had from there is taken: so it fetches while the stream decodes. What is polled is
// bounded by the size of a fetch.
func (s *Stream) pollRecords(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := make(chan struct{})
	s.mu.Lock()
	s.poll, s.idle = cancel, idle
	if len(s.signal) > 0 || s.closed {
		cancel()
	}
	s.mu.Unlock()
	fetches := s.client.PollFetches(ctx)
	s.mu.Lock()
	select {
	case <-s.signal:
	default:
	}
	s.poll = nil
	at := s.take(fetches)
	s.mu.Unlock()
	s.goOn(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = nil
	close(idle)
}

// take books what was polled. Records of partitions that the stream does not have any more are
// dropped: they are not committed. It returns where the client is to go on: behind what it cannot
// read, and where it should have begun.
func (s *Stream) take(fetches kgo.Fetches) (at map[int32]kgo.EpochOffset) {
	goOn := func(p int32, epoch int32, offset int64) {
		if at == nil {
			at = map[int32]kgo.EpochOffset{}
		}
		at[p] = kgo.EpochOffset{Epoch: epoch, Offset: offset}
	}
	for _, fetch := range fetches {
		for _, topic := range fetch.Topics {
			for i := range topic.Partitions {
				p := &topic.Partitions[i]
				t := s.tenures[p.Partition]
				if t != nil && !t.draining && topic.Topic != "" && !s.ident.isPast(topic.TopicID) {
					if t.beginsLate(p) {
						goOn(p.Partition, -1, t.next)
						continue
					}
					s.takePartition(t, p)
				}
				if p.Err == nil {
					continue
				}
				if bad := s.takeError(t, topic.Topic != "", p); bad != nil && bad.stopped {
					goOn(p.Partition, bad.epoch, bad.next)
				}
			}
		}
	}
	return at
}

// takeError books the error of a partition, or of all where the client names none, and returns what
// is passed because of it. The lock is held.
func (s *Stream) takeError(t *tenure, named bool, p *kgo.FetchPartition) *unreadable {
	bad := s.unreadableIn(t, p.Err)
	switch {
	case bad != nil && t != nil && !t.draining:
		s.pass(t, bad)
		return bad
	case bad != nil:
		return nil
	}
	s.ill.fetchFailed(p.Partition, p.Err)
	if isOfAnother(p.Err) {
		s.ident.doubt()
	}
	if t != nil && named {
		t.failed(p.Err)
		s.restAfter(t, p.Err)
	}
	return nil
}

// takePartition books the records of one partition. The lock is held.
func (s *Stream) takePartition(t *tenure, p *kgo.FetchPartition) {
	if len(p.Records) == 0 || t.rewind {
		return
	}
	if p.Err == nil {
		s.ill.fetched(p.Partition)
	}
	if t.begin >= 0 && p.LogStartOffset > t.begin && p.Records[0].Offset > t.begin {
		s.ill.anew(ofData, 0, fmt.Errorf("partition %d has no records before offset %d any more, and the group had come to %d: what was"+
			" between is lost", t.partition, p.Records[0].Offset, t.begin))
	}
	t.begin, t.next = -1, p.Records[len(p.Records)-1].Offset+1
	records := p.Records
	if len(t.above) > 0 {
		records = s.unfinished(t, records)
	}
	if len(records) > 0 {
		s.polled = append(s.polled, chunk{tenure: t, records: records})
	}
}

// resumePartitions pauses and resumes partitions by their gaps. The client keeps a pause when the
// partition goes and comes back.
func (s *Stream) resumePartitions() {
	var pause, resume []int32
	s.mu.Lock()
	now := time.Now()
	for _, t := range s.tenures {
		gap := t.gap()
		switch {
		case !t.paused && gap >= s.broker.o.GapLimit:
			oldest, _ := t.window.Oldest()
			t.paused = true
			s.ill.set(ofGapLimit, t.partition, fmt.Errorf("partition %d is paused: the event at offset %d is not finished, and GapLimit later"+
				" ones are", t.partition, oldest.offset))
		case t.paused && gap <= s.broker.o.GapLimit/2:
			t.paused = false
			s.ill.set(ofGapLimit, t.partition, nil)
		}
		if t.halted(now) && !s.paused[t.partition] {
			s.paused[t.partition] = true
			pause = append(pause, t.partition)
		}
	}
	for p := range s.paused {
		if t := s.tenures[p]; t == nil || !t.halted(now) {
			delete(s.paused, p)
			resume = append(resume, p)
		}
	}
	s.mu.Unlock()
	if len(pause) > 0 {
		s.client.PauseFetchPartitions(map[string][]int32{s.sub.Topic: pause})
	}
	if len(resume) > 0 {
		s.client.ResumeFetchPartitions(map[string][]int32{s.sub.Topic: resume})
	}
}
