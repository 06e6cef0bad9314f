package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What follows is called by the client's group management, one call at a time.

// assigned begins the tenures of new partitions, before the client fetches from them. What is on
// its way from the client into polled may be of an earlier tenure of the same partition, whose
// records must not pass for the new one's; so it is waited for.
func (s *Stream) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	defer s.start()()
	s.awaitIdle()
	var old []*tenure
	defer func() {
		for _, t := range old {
			t.lease.End(errAgain)
		}
		lineResumed.well(&s.silence, s.sub.Topic, s.sub.Group)
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.presence.begin()
	s.ill.set(ofSilence, 0, nil) // the group has answered, also where it had counted this member out
	for _, p := range partitions[s.sub.Topic] {
		if t := s.tenures[p]; t != nil {
			old = append(old, t)
		}
	}
	s.end(old)
	if s.anew { // fetched fails, which the client does not call where there is nothing to fetch
		s.anew = len(partitions[s.sub.Topic]) > 0
		return
	}
	for _, p := range partitions[s.sub.Topic] {
		s.begin(p)
	}
	s.wake() // an earlier tenure may have been paused
}

// readNotes reads the metadata of the offsets that the client has fetched and that fetched gets
// next.
func (s *Stream) readNotes(_ context.Context, _ *kgo.Client, answer *kmsg.OffsetFetchResponse) error {
	notes := map[int32]readNote{}
	for _, group := range answer.Groups {
		for _, topic := range group.Topics {
			for _, p := range topic.Partitions {
				if p.Metadata == nil {
					continue
				}
				n, ok := parseNote(*p.Metadata)
				if !ok || n.base != p.Offset {
					n = note{base: -1}
				}
				notes[p.Partition] = readNote{note: n, text: *p.Metadata}
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = notes
	return nil
}

// verify asks for the topic as it is now, where anything is known of partitions besides the offsets
// that the client has fetched, and forgets what is of another topic or log: how far earlier tenures
// had come, and notes, also those of offsets behind the end of the log. Without an answer it
// forgets the former; the latter is an error, after which the client fetches the offsets again.
func (s *Stream) verify(ctx context.Context, partitions map[int32]kgo.Offset) error {
	known, noted := false, false
	s.mu.Lock()
	for p := range partitions {
		_, ok := s.progress[p]
		known, noted = known || ok, noted || len(s.notes[p].above) > 0
	}
	s.mu.Unlock()
	if !known && !noted {
		return nil
	}
	ctx, cancel := s.broker.bounded(ctx)
	defer cancel()
	topic, err := s.lookAtTopic(ctx)
	err = cmp.Or(err, topic.Err)
	s.mu.Lock()
	if err != nil || topic.ID != s.ident.id {
		for p := range partitions {
			delete(s.progress, p)
		}
		s.ident.doubt()
	}
	s.mu.Unlock()
	if !noted {
		return nil
	}
	var ends kadm.ListedOffsets
	if err == nil {
		ends, err = s.broker.endOffsets(ctx, s.sub.Topic)
	}
	if err != nil {
		return fmt.Errorf("asking for the topic whose finished events were noted: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topic = topicIDOf(topic.ID)
	for p, n := range s.notes {
		if end, ok := ends.Lookup(s.sub.Topic, p); n.topic != s.topic || !ok || end.Offset < n.above.end() {
			old := n.base >= 0 && n.topic != topicID{} && n.topic != s.topic
			s.notes[p] = readNote{note: note{base: -1}, text: n.text, old: old}
		}
	}
	return nil
}

// readNote is a note, empty where there is none, and the text that was read.
type readNote struct {
	note

	text string
	old  bool // the offset is of a topic that was deleted
}

// awaitIdle waits until no records are on their way from the client into polled.
func (s *Stream) awaitIdle() {
	s.mu.Lock()
	idle := s.idle
	if s.poll != nil {
		s.poll()
	}
	s.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// fetched notes where the group had come to. After an outage in which this stream lost a partition
// and nobody went on with it, what it had settled since its last commit is not handled again: the
// group's offset is still the one that this stream knows, and everything below the watermark was
// settled in the group's name. The leader epoch lets the client notice a log that was truncated
// meanwhile.
func (s *Stream) fetched(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if s.endsAnew() {
		return nil, errAnew
	}
	if err := s.verify(ctx, offsets[s.sub.Topic]); err != nil {
		return nil, err
	}
	if with, finished := s.resume(offsets[s.sub.Topic]); finished > 0 {
		s.log(lineNoted, named(with), finished)
	}
	s.nameStarts(ctx, offsets[s.sub.Topic])
	s.placed(offsets[s.sub.Topic])
	return offsets, nil
}

// placed notes where the client begins, and of which partitions it has not got the group's offset.
func (s *Stream) placed(offsets map[int32]kgo.Offset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, offset := range offsets {
		if t := s.tenures[p]; t != nil {
			t.placed, t.next = true, max(offset.EpochOffset().Offset, -1)
		}
	}
	for p, t := range s.tenures {
		if !t.placed && !t.asked {
			s.unplaced(p)
		}
		t.asked = true
	}
}

// resume notes where the group had come to, and puts in where the stream goes on. It returns how
// many events above the group's offsets are finished, and in which partitions.
func (s *Stream) resume(offsets map[int32]kgo.Offset) (with []int32, finished int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, offset := range offsets {
		t := s.tenures[p]
		if t == nil {
			continue
		}
		committed := offset.EpochOffset().Offset
		committed = max(committed, -1) // less than 0 stands for no commit
		read := s.notes[p]
		if read.old || s.ofOld(p, committed) {
			committed, offsets[p] = -1, kgo.NewOffset().AtStart()
		}
		now := commit{committed, read.text}
		t.begin, t.committed, t.tried = committed, now, now
		was, ok := s.progress[p]
		switch {
		case ok && (was.committed == now || was.tried == now):
			t.above, t.aboveEpoch = was.above, was.aboveEpoch
			if was.watermark > committed {
				t.begin, t.watermark, t.epoch = was.watermark, was.watermark, was.epoch
				offsets[p] = kgo.NewOffset().At(was.watermark).WithEpoch(was.epoch)
				s.commit.soon()
			} else if was.watermark == committed && len(was.above) > 0 {
				t.owe(committed, max(was.epoch, offset.EpochOffset().Epoch))
				s.commit.soon()
			}
		case committed >= 0 && read.base == committed:
			t.above, t.aboveEpoch = read.above, read.epoch
		}
		if n := t.above.count(); n > 0 {
			finished, with = finished+n, append(with, p)
		}
	}
	s.notes = nil
	return with, finished
}

// revoked gives partitions up in order: their events are not started any more, running handlers may
// finish within half the RebalanceTimeout, what finished is committed, and then the leases end and
// the partitions move. Heartbeats go on meanwhile.
func (s *Stream) revoked(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	defer s.start()()
	tenures := s.stopPartitions(partitions)
	if len(tenures) == 0 {
		return
	}
	released := make(chan struct{})
	var open atomic.Int64 // a handler that never returns must not leave a goroutine that waits for it
	open.Store(int64(len(tenures)))
	for _, t := range tenures {
		drained := sync.OnceFunc(func() {
			if open.Add(-1) == 0 {
				close(released)
			}
		})
		s.mu.Lock()
		t.drained = drained
		s.mu.Unlock()
		t.lease.Drain(drained)
		if t.lease.Ended() { // a lease that has ended does not drain
			drained()
		}
	}
	grace := time.NewTimer(s.broker.o.RebalanceTimeout / 2)
	defer grace.Stop()
	inTime := true
	select {
	case <-released:
	case <-grace.C:
		inTime = false
	case <-s.quit:
	}
	ctx, cancel := context.WithTimeout(s.client.Context(), min(s.broker.o.RequestTimeout, s.broker.o.RebalanceTimeout/4))
	defer cancel()
	err := s.commitTenures(ctx, tenures)
	s.mu.Lock()
	oldest := s.end(tenures)
	s.mu.Unlock()
	s.endRevoked(tenures, inTime, oldest, err)
}

// start counts a call behind which the client asks for offsets, until what it returns is called.
func (s *Stream) start() (end func()) {
	count := func(more int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.starting += more
	}
	count(1)
	return func() { count(-1) }
}

// endRevoked ends the leases, and logs those that end out of order.
func (s *Stream) endRevoked(tenures []*tenure, inTime bool, oldest []int64, commitErr error) {
	var late []*tenure
	causes := make([]error, len(tenures))
	var first error
	for i, t := range tenures {
		if causes[i] = s.revokeCause(t, inTime, oldest[i], commitErr); causes[i] != nil {
			late, first = append(late, t), cmp.Or(first, causes[i])
		}
	}
	if len(late) > 0 {
		s.log(lineGivenUp, named(partitionsOf(late)), first)
	}
	for i, t := range tenures {
		t.lease.End(causes[i])
	}
}

// revokeCause returns why a tenure ended out of order; nil when it did not.
func (s *Stream) revokeCause(t *tenure, inTime bool, oldest int64, commitErr error) error {
	var err error
	switch {
	case commitErr != nil:
		err = fmt.Errorf("partition %d was revoked, and what was finished could not be committed: %w", t.partition, commitErr)
	case !inTime && oldest >= 0:
		err = fmt.Errorf("partition %d was revoked, and the handler of offset %d did not return within %v, half the RebalanceTimeout",
			t.partition, oldest, s.broker.o.RebalanceTimeout/2)
		s.mu.Lock()
		s.ill.anew(ofHandler, 0, err)
		s.mu.Unlock()
	default:
		return nil
	}
	return err
}

// lost ends the leases of partitions that the group has given to others already.
func (s *Stream) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	tenures := s.stopPartitions(partitions)
	s.mu.Lock()
	s.end(tenures)
	s.mu.Unlock()
	cause := s.presence.lostCause()
	if len(tenures) > 0 {
		s.log(lineLost, named(partitionsOf(tenures)), cause)
	}
	for _, t := range tenures {
		t.lease.End(cause)
	}
}

// stopPartitions stops the tenures of partitions and returns them.
func (s *Stream) stopPartitions(partitions map[string][]int32) (tenures []*tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range partitions[s.sub.Topic] {
		if t := s.tenures[p]; t != nil {
			tenures = append(tenures, t)
		}
	}
	s.stop(tenures)
	return tenures
}

// isLost reports whether a commit failed because the member does not have the partitions any more.
func isLost(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.FencedInstanceID) ||
		errors.Is(err, kerr.FencedMemberEpoch) || errors.Is(err, kerr.StaleMemberEpoch)
}
