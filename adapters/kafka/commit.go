package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committer says when to commit.
type committer struct {
	turn chan struct{} // holds a token while a commit is under way, so that an older one does not arrive after a newer
	due  chan struct{} // holds a token when there is something to commit
}

// soon asks for a commit within the interval. It does not block.
func (c *committer) soon() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// commitLoop commits in the background what is finished.
func (s *Stream) commitLoop() {
	timer := time.NewTimer(0)
	<-timer.C
	defer timer.Stop()
	for {
		select {
		case <-s.commit.due:
		case <-s.quit:
			return
		}
		timer.Reset(s.broker.o.CommitInterval)
		select {
		case <-timer.C:
		case <-s.quit:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.broker.o.RequestTimeout)
		if err := s.commitNow(ctx); err != nil {
			s.commit.soon()
		}
		cancel()
	}
}

// commitNow commits the watermarks of all partitions that the stream has.
func (s *Stream) commitNow(ctx context.Context) error {
	s.mu.Lock()
	tenures := s.all()
	s.mu.Unlock()
	return s.commitTenures(ctx, tenures)
}

// commitTenures commits the watermarks of tenures that have not ended, as far as they have moved. The error is that of the first
// partition that failed.
func (s *Stream) commitTenures(ctx context.Context, tenures []*tenure) error {
	if s.sub.Broadcast {
		return nil
	}
	select {
	case s.commit.turn <- struct{}{}:
		defer func() { <-s.commit.turn }()
	case <-ctx.Done():
		return fmt.Errorf("an earlier commit has no answer: %w", ctx.Err())
	}
	offsets := map[int32]kgo.EpochOffset{}
	s.mu.Lock()
	for _, t := range tenures {
		if !t.ended && t.uncommitted() {
			offsets[t.partition] = kgo.EpochOffset{Epoch: t.window.epoch, Offset: t.window.watermark}
			t.tried = t.window.watermark
		}
	}
	if !slices.ContainsFunc(s.all(), (*tenure).uncommitted) {
		s.ill.committed(nil) // what could not be committed has gone to another member
	}
	s.mu.Unlock()
	if len(offsets) == 0 {
		return nil
	}
	failed := map[int32]error{}
	var all error
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.sub.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			if all = err; err != nil {
				return
			}
			for _, topic := range answer.Topics {
				for _, p := range topic.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						failed[p.Partition] = err
						all = err
					}
				}
			}
		})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tenures {
		if offset, ok := offsets[t.partition]; ok && failed[t.partition] == nil && (all == nil || len(failed) > 0) {
			t.committed = offset.Offset
		}
	}
	if !errors.Is(all, kerr.RebalanceInProgress) { // tried again when the rebalance is over, or on revoke
		s.ill.committed(all)
	}
	return all
}
