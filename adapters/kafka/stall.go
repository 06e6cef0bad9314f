package kafka

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What follows finds partitions from which nothing comes although there is something, for whatever
// reason, so that health says so as long as it lasts. franz-go (1.22.2) reports FENCED_LEADER_EPOCH
// once (TestFetchErrorsThatStay), and a batch that is cut or has fewer records than it says not at
// all (TestBatchesThatCannotBeRead). Then the partition is silent, and health would be good.

// stallLook is the time between two looks. A partition has to be silent at three of them, and to
// have records at two.
const stallLook = 5 * time.Second

// lookForStalls looks for partitions from which nothing comes, and mends those that can be mended.
func (s *Stream) lookForStalls() {
	s.findStalls()
	if !s.sub.Broadcast {
		s.recoverUnplaced()
	}
	s.logIllness()
	s.logUnreadable()
}

// silent returns where the client is in partitions that have been silent since the last look. While
// nobody waits for records, none is.
func (s *Stream) silent() map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	silent := map[int32]int64{}
	waiting := s.poll != nil && !s.ready()
	for p, t := range s.tenures {
		if waiting && t.seen == t.next && t.next >= 0 && !t.halted(time.Now()) && !t.draining {
			silent[p] = t.next
		}
		t.seen = t.next
	}
	return silent
}

// findStalls compares where the client is with where the partitions end.
func (s *Stream) findStalls() {
	silent := s.silent()
	if len(silent) == 0 {
		return
	}
	ctx, cancel := s.broker.bounded(s.client.Context())
	defer cancel()
	ends, err := within(ctx, func() (kadm.ListedOffsets, error) { return s.broker.admin.ListCommittedOffsets(ctx, s.sub.Topic) })
	if err != nil {
		return // health knows of connections
	}
	var starts kadm.ListedOffsets
	for p, next := range silent {
		end, ok := ends.Lookup(s.sub.Topic, p)
		if !ok || end.Err != nil {
			continue
		}
		if next < end.Offset && starts == nil {
			if starts, err = s.broker.startOffsets(ctx, s.sub.Topic); err != nil {
				return
			}
		}
		start, _ := starts.Lookup(s.sub.Topic, p)
		s.mu.Lock()
		switch t := s.tenures[p]; {
		case t == nil || t.next != next:
		case max(next, start.Offset) >= end.Offset:
			t.behind = -1
			s.ill.set(ofStall, p, nil)
		case t.behind == next:
			first := max(next, start.Offset)
			s.ill.set(ofStall, p, fmt.Errorf("nothing comes from partition %d, though it has records from offset %d to offset %d: if it lasts,"+
				" the record at offset %d may be one that the client cannot read; set the group's offset behind it", p, first, end.Offset-1, first))
		default:
			t.behind = next // its records may be on their way
		}
		s.mu.Unlock()
	}
}

// unplaced notes that the client has a partition and does not read it, because the group's offset
// could not be had. The client reports that once, and does not ask again while it has the
// partition. The lock is held.
func (s *Stream) unplaced(partition int32) {
	s.ill.anew(ofStall, partition, fmt.Errorf("the group's offset in partition %d could not be read; nothing comes from there until it can",
		partition))
}

var errAgain = errors.New("the group's offset in another partition could not be read before, so the partitions are assigned again")

// recoverUnplaced has all partitions assigned again when the group's offsets can be read in those
// where they could not. franz-go (1.22.2) asks once: without this, a partition whose offset was
// refused or left out stayed silent when that was mended (TestOffsetThatCannotBeRead).
func (s *Stream) recoverUnplaced() {
	var unplaced []int32
	s.mu.Lock()
	tenures := s.all()
	all := partitionsOf(tenures)
	for p, t := range s.tenures {
		if !t.placed && !t.draining && t.asked {
			unplaced = append(unplaced, p)
		}
	}
	s.mu.Unlock()
	if len(unplaced) == 0 {
		return
	}
	ctx, cancel := s.broker.bounded(s.client.Context())
	defer cancel()
	offsets, err := within(ctx, func() (kadm.OffsetResponses, error) { return s.broker.committed(ctx, s.sub.Group, s.sub.Topic) })
	for _, p := range unplaced {
		if at, ok := offsets.Lookup(s.sub.Topic, p); ok && at.Err != nil {
			err = at.Err
		}
	}
	if err != nil {
		return
	}
	s.log(lineAgain, named(slices.Clone(all)))
	s.revoked(ctx, s.client, map[string][]int32{s.sub.Topic: all})
	s.consumeAnew(tenures)
}

// halted reports whether the client does not fetch from the partition for now. The lock is held.
func (t *tenure) halted(now time.Time) bool { return t.paused || t.suspended || now.Before(t.rest) }

// failed notes where the client goes on after data was lost, which is lower in a log that was
// truncated: the look for stalls compares from there (TestSilenceAfterALossOfData). The lock is
// held.
func (t *tenure) failed(err error) {
	if loss, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		t.next = loss.ResetTo
	}
}

// restAfter keeps the client from asking again at once for what it has just got an error for: it
// has no pause of its own with KeepRetryableFetchErrors, and fetched a batch with a wrong checksum
// as fast as the broker could send it (TestBatchesThatCannotBeRead, TestFetchErrorsThatStay). The
// lock is held.
func (s *Stream) restAfter(t *tenure, err error) {
	pause := time.Second
	if kerr.IsRetriable(err) {
		pause = 100 * time.Millisecond // the client looks for a new leader meanwhile
	}
	t.rest = time.Now().Add(pause)
	time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wake()
	})
}
