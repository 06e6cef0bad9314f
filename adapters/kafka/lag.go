package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kadm"
)

var _ leat.LagReporter = (*Broker)(nil)

// The details of a part of a Lag; see Broker.Lag.
const (
	lagCommitted = "committed"
	lagEnd       = "end"
	lagFinished  = "finished"
	lagUnnoted   = "unnoted"
)

// Lag implements [leat.LagReporter]: it returns how far a group is behind, in parts by partition.
// Events of a part is how many offsets lie between the committed one and the end, without the
// finished ones: no fewer than the records that are still to be handled. A group that Kafka does
// not know has every event to handle, or none with [StartLatest]. Kafka does not tell the age of a
// record without its being fetched, so Oldest is unknown unless it is 0. The details are:
//
//   - "committed": the offset that the group has committed; it is not there while there is none.
//   - "end": the offset that the next record gets.
//   - "finished": how many offsets above committed are finished, and not handled again, though an event below them is not finished.
//   - "unnoted": how many events above committed are finished and do not fit into what Kafka keeps with the offset. They are in Events,
//     and are handled again when the partition goes to another member.
//
// The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) (leat.Lag, error) {
	if err := (leat.Subscription{Topic: topic, Group: group}).Validate(); err != nil {
		return leat.Lag{}, b.fail(ctx, "lag", topic, err)
	}
	if err := b.life.Refuse(ctx, "lag", topic); err != nil {
		return leat.Lag{}, err
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	parts, err := b.lag(ctx, topic, group)
	if err != nil {
		return leat.Lag{}, b.fail(caller, "lag", topic, err)
	}
	lag := leat.Lag{Topic: topic, Group: group, Parts: parts}
	for _, p := range parts {
		lag.Events += p.Events
	}
	if lag.Events > 0 {
		lag.Oldest = leat.LagUnknown
	}
	return lag, nil
}

func (b *Broker) lag(ctx context.Context, topic, group string) ([]leat.LagPart, error) {
	if _, err := b.partitions(ctx, topic); err != nil {
		return nil, err
	}
	committed, err := retry(ctx, func() (kadm.OffsetResponses, error) { return b.committed(ctx, group, topic) })
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	ends, err := listed(ctx, topic, b.admin.ListCommittedOffsets)
	if err != nil {
		return nil, err
	}
	starts, err := listed(ctx, topic, b.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	var parts []leat.LagPart
	for _, partition := range slices.Sorted(maps.Keys(ends[topic])) {
		end := ends[topic][partition]
		p := leat.LagPart{Name: strconv.Itoa(int(end.Partition)), Details: map[string]int64{lagEnd: end.Offset}}
		from, finished := int64(0), int64(0)
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			from = start.Offset
		}
		if at, ok := committed.Lookup(topic, end.Partition); ok && at.At >= 0 {
			p.Details[lagCommitted] = at.At
			from = max(from, at.At)
			p.Details[lagFinished], p.Details[lagUnnoted] = 0, 0
			if n, ok := parseNote(at.Metadata); ok && n.base == at.At {
				_, above := n.above.below(end.Offset).absorb(from)
				finished = above.count()
				p.Details[lagFinished], p.Details[lagUnnoted] = finished, n.missing
			}
		} else if b.o.Start == StartLatest && !hasOffsets(committed) {
			from = end.Offset
		}
		p.Events = max(0, end.Offset-from-finished)
		parts = append(parts, p)
	}
	return parts, nil
}
