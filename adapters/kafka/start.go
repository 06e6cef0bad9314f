package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// prepareGroup makes sure that the group may be used, and that a new group begins at the end where
// it should. It also finds the group's coordinator, so that joining takes no longer than it must.
//
// A group that has committed any offset of the topic is not new: a partition without one was added
// since, and the group begins with the first record of it, as the client does by itself.
func (b *Broker) prepareGroup(ctx context.Context, sub leat.Subscription, partitions int) error {
	committed, err := retry(ctx, func() (kadm.OffsetResponses, error) { return b.committed(ctx, sub.Group, sub.Topic) })
	if err != nil {
		return fmt.Errorf("group %s: %w", sub.Group, err)
	}
	if b.o.Start != StartLatest || sub.Group == leat.ReplayGroup || hasOffsets(committed) {
		return nil
	}
	ends, err := b.endOffsets(ctx, sub.Topic)
	if err != nil {
		return err
	}
	var begin kadm.Offsets
	for p := range int32(partitions) {
		if end, ok := ends.Lookup(sub.Topic, p); ok {
			begin.AddOffset(sub.Topic, p, end.Offset, end.LeaderEpoch)
		}
	}
	_, err = retry(ctx, func() (struct{}, error) {
		answer, err := b.admin.CommitOffsets(ctx, sub.Group, begin)
		return struct{}{}, cmp.Or(err, answer.Error())
	})
	if errors.Is(err, kerr.UnknownMemberID) {
		return nil // the group has members by now, which began themselves
	}
	if err != nil {
		return fmt.Errorf("group %s: %w", sub.Group, err)
	}
	b.noteSkipped(ctx, sub, ends)
	return nil
}

// hasOffsets reports whether a group has committed an offset of any partition.
func hasOffsets(committed kadm.OffsetResponses) (some bool) {
	committed.Each(func(o kadm.OffsetResponse) { some = some || o.At >= 0 })
	return some
}

// noteSkipped says which records a group does not get that begins at the end of a topic. Kafka
// forgets the offsets of a group that nobody uses, and then nothing tells that group from a new
// one.
func (b *Broker) noteSkipped(ctx context.Context, sub leat.Subscription, ends kadm.ListedOffsets) {
	starts, err := b.startOffsets(ctx, sub.Topic)
	if err != nil {
		starts = nil // what is counted is too much then
	}
	skipped := int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(sub.Topic, end.Partition)
		skipped += max(0, end.Offset-max(0, start.Offset))
	})
	if skipped == 0 {
		return
	}
	var s fault.Symptom
	s.Set(fmt.Errorf("group %s had no offsets of the topic, so it begins at the end (StartLatest) and does not get the %d records that"+
		" were there. A new group should; one that was used before has lost its offsets (the cluster's offsets.retention.minutes),"+
		" and events with them: set its offsets back, or use StartEarliest", sub.Group, skipped))
	b.begun.Store(startKey{sub.Topic, sub.Group}, s)
	b.o.log(lineAtEnd, sub.Topic, sub.Group, skipped, s.Err)
}

// startKey names a group of a topic.
type startKey struct{ topic, group string }

// skipped returns what noteSkipped has noted of a group.
func (b *Broker) skipped(sub leat.Subscription) fault.Symptom {
	noted, _ := b.begun.Load(startKey{sub.Topic, sub.Group})
	s, _ := noted.(fault.Symptom)
	return s
}

// nameStarts writes the number of the first offset where a group begins at the start of a
// partition: the client can only be told to pass what it cannot read (goOn) where it knows a
// number. Without an answer of the cluster all stays as it is.
func (s *Stream) nameStarts(ctx context.Context, offsets map[int32]kgo.Offset) {
	atStart := kgo.NewOffset().AtStart()
	some := false
	for _, offset := range offsets {
		some = some || offset == atStart
	}
	if !some {
		return
	}
	ctx, cancel := s.broker.bounded(ctx)
	defer cancel()
	starts, err := s.broker.startOffsets(ctx, s.sub.Topic)
	if err != nil {
		return
	}
	for p, offset := range offsets {
		start, ok := starts.Lookup(s.sub.Topic, p)
		if ok && start.Err == nil && start.Offset >= 0 && offset == atStart {
			offsets[p] = kgo.NewOffset().At(start.Offset)
		}
	}
}
