package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var _ leat.Browser = (*Broker)(nil)

// Browse implements [leat.Browser] for every group. It reads the topic without being a member of
// the group, from the group's offsets to the end, and passes over what a note in a commit says is
// finished. So it also shows an event that is finished and whose commit is still to come, and what
// did not fit into a note. Members of the group do not notice it. It holds a fetch in memory.
func (b *Broker) Browse(ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool) error {
	if sub.Broadcast {
		return &leat.Error{Op: "browse", Topic: sub.Topic, Code: leat.CodeUnsupported,
			Err: errors.New("a broadcast has no offsets, so there is nothing to show; browse a group")}
	}
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return err
	}
	defer done()
	v := &browse{b: b, sub: sub.WithDefaults(), show: show}
	v.decoder.mapping, v.decoder.further = b.o.Mapping, b.o.ReadHeaders
	if err = v.look(ctx); err == nil && len(v.left) > 0 {
		err = v.read(ctx)
	}
	if err != nil {
		return b.fail(ctx, "browse", sub.Topic, err)
	}
	return nil
}

// browse is one Browse.
type browse struct {
	b       *Broker
	sub     leat.Subscription
	show    func(*leat.Delivery) bool
	left    map[int32]*stretch // partitions that are not shown whole
	decoder decoder
}

// stretch is what is to be shown of a partition.
type stretch struct {
	from, end int64
	finished  spans
}

// look finds out what the group has not finished.
func (v *browse) look(ctx context.Context) error {
	ctx, cancel := v.b.bounded(ctx)
	defer cancel()
	if _, err := v.b.readable(ctx, v.sub.Topic); err != nil {
		return err
	}
	ends, err := listed(ctx, v.sub.Topic, v.b.admin.ListCommittedOffsets)
	if err != nil {
		return err
	}
	committed, err := retry(ctx, func() (kadm.OffsetResponses, error) { return v.b.committed(ctx, v.sub.Group, v.sub.Topic) })
	if err != nil {
		return fmt.Errorf("group %s: %w", v.sub.Group, err)
	}
	starts, err := listed(ctx, v.sub.Topic, v.b.admin.ListStartOffsets)
	if err != nil {
		return err
	}
	v.left = map[int32]*stretch{}
	ends.Each(func(end kadm.ListedOffset) {
		s := &stretch{end: end.Offset}
		if start, ok := starts.Lookup(v.sub.Topic, end.Partition); ok {
			s.from = start.Offset
		}
		if at, ok := committed.Lookup(v.sub.Topic, end.Partition); ok && at.At >= 0 {
			s.from = max(s.from, at.At)
			if n, ok := parseNote(at.Metadata); ok && n.base == at.At {
				s.finished = n.above
			}
		} else if v.b.o.Start == StartLatest && v.sub.Group != leat.ReplayGroup && !hasOffsets(committed) {
			s.from = s.end
		}
		if s.from < s.end {
			v.left[end.Partition] = s
		}
	})
	return nil
}

// read shows it, by a client of its own.
func (v *browse) read(ctx context.Context) error {
	begin := map[int32]kgo.Offset{}
	for p, s := range v.left {
		begin[p] = kgo.NewOffset().At(s.from)
	}
	open, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := append(v.b.consumerOptions(v.sub), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{v.sub.Topic: begin}))
	client, err := v.b.newClient(open, &connections{outage: v.b.outage}, opts)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	lease := leat.NewLease()
	lease.End(nil)
	for last := time.Now(); len(v.left) > 0; {
		fetches := v.poll(ctx, client)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		some, err := v.take(ctx, client, fetches, lease)
		if err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
		if some {
			last = time.Now()
		} else if time.Since(last) > v.b.o.RequestTimeout {
			return v.silent()
		}
	}
	return nil
}

// browsePoll is how long a poll waits, so that silence is seen.
const browsePoll = time.Second

func (v *browse) poll(ctx context.Context, client *kgo.Client) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, min(browsePoll, v.b.o.RequestTimeout))
	defer cancel()
	return client.PollFetches(ctx)
}

// silent is the error of a partition of which nothing comes.
func (v *browse) silent() error {
	for p, s := range v.left {
		return &leat.Error{Code: leat.CodeUnavailable, Err: fmt.Errorf(
			"partition %d delivers nothing from offset %d on, and its end is %d", p, s.from, s.end)}
	}
	return nil
}

// errEnough says that show has returned false.
var errEnough = errors.New("enough is shown")

// take shows what was fetched, and reports whether there was something.
func (v *browse) take(ctx context.Context, client *kgo.Client, fetches kgo.Fetches, lease *leat.Lease) (some bool, err error) {
	behind := map[int32]kgo.EpochOffset{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		s := v.left[p.Partition]
		for _, r := range p.Records {
			if err != nil || s == nil || s.from >= s.end {
				break
			}
			some = true
			err = v.showOne(ctx, s, r, lease)
		}
		if err == nil && p.Err != nil {
			var passed bool
			passed, err = v.takeError(client, &p, lease, behind)
			some = some || passed
		}
		if s != nil && s.from >= s.end {
			delete(v.left, p.Partition)
		}
	})
	if err == nil && len(behind) > 0 {
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{v.sub.Topic: behind})
	}
	return some, err
}

// takeError passes what the client cannot read, which a stream delivers as one malformed delivery,
// and returns other errors that last. behind gets where the client has to be told to go on.
func (v *browse) takeError(
	client *kgo.Client, p *kgo.FetchTopicPartition, lease *leat.Lease, behind map[int32]kgo.EpochOffset,
) (passed bool, err error) {
	s := v.left[p.Partition]
	from := int64(0)
	if s != nil {
		from = s.from
	}
	bad := unreadableIn(client, from, p.Err)
	if bad == nil {
		if !kerr.IsRetriable(p.Err) && !errors.Is(p.Err, context.DeadlineExceeded) && !errors.Is(p.Err, context.Canceled) {
			return false, fmt.Errorf("partition %d: %w", p.Partition, p.Err)
		}
		return false, nil
	}
	if bad.stopped {
		behind[p.Partition] = kgo.EpochOffset{Epoch: bad.epoch, Offset: bad.next}
	}
	if s == nil || s.from >= s.end || bad.next <= s.from {
		return false, nil
	}
	s.from = bad.next
	if bad.first >= s.end || s.finished.has(bad.next-1) {
		return true, nil
	}
	d := leat.Delivery{Lease: lease, Malformed: bad.malformed(), Position: leat.Position{Partition: p.Partition, Offset: bad.next - 1}}
	if !v.show(&d) {
		return true, errEnough
	}
	return true, nil
}

func (v *browse) showOne(ctx context.Context, s *stretch, r *kgo.Record, lease *leat.Lease) error {
	if r.Offset < s.from {
		return nil
	}
	s.from = r.Offset + 1
	if s.from > s.end || s.finished.has(r.Offset) || r.Attrs.IsControl() {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := leat.Delivery{Lease: lease, Position: leat.Position{Partition: r.Partition, Offset: r.Offset}}
	v.decoder.decode(r, &d)
	if !v.show(&d) {
		return errEnough
	}
	return nil
}

// Assigned reports whether the group has said which partitions the stream gets; it may be none.
// [leat.RunUntilIdle] asks it.
func (s *Stream) Assigned() bool {
	if s.sub.Broadcast {
		return true
	}
	s.mu.Lock()
	some := len(s.tenures) > 0
	s.mu.Unlock()
	return some || s.presence.settled()
}

// settled reports whether the group has answered the member, and does not let it wait.
func (s *presence) settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.last.IsZero() && !s.joining && s.waits.IsZero()
}
