package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committer says when to commit.
type committer struct {
	turn chan struct{} // holds a token while a commit is under way, so that an older one does not arrive after a newer
	due  chan struct{} // holds a token when there is something to commit
	most int           // how long a note may be; whoever has the turn reads and sets it
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
	for {
		select {
		case <-s.commit.due:
		case <-s.quit:
			return
		}
		if !s.sleep(s.broker.o.CommitInterval) {
			return
		}
		ctx, cancel := s.broker.bounded(s.client.Context())
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

// commitTenures commits the watermarks of tenures that have not ended, as far as they have moved.
// The error is that of the first partition that failed. It returns when ctx ends: the client looks
// at ctx only when it has a connection, so the commit may end in the background, and keeps its turn
// until then.
func (s *Stream) commitTenures(ctx context.Context, tenures []*tenure) error {
	if s.sub.Broadcast {
		return nil
	}
	select {
	case s.commit.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("an earlier commit has no answer: %w", ctx.Err())
	}
	done := make(chan error, 1)
	s.broker.life.Tasks.Go(func() {
		defer func() { <-s.commit.turn }()
		done <- s.commitDue(ctx, s.gather(tenures))
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the commit has no answer: %w", ctx.Err())
	}
}

// commitDue commits until everything is committed or has failed. Its caller has the turn.
func (s *Stream) commitDue(ctx context.Context, due []*pending) error {
	if len(due) == 0 {
		return nil
	}
	var failure error
	for len(due) > 0 {
		tooLong, err := s.commitOnce(ctx, due)
		failure = cmp.Or(failure, err)
		s.commit.shorten(tooLong)
		due = tooLong
	}
	if isOfAnother(failure) {
		s.ident.doubt()
	}
	if !errors.Is(failure, kerr.RebalanceInProgress) { // tried again when the rebalance is over, or on revoke
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ill.set(ofCommit, 0, failure)
	}
	return failure
}

// pending is the commit of one partition.
type pending struct {
	tenure  *tenure
	at      kgo.EpochOffset
	note    note
	settled uint64 // the tenure's
	text    string
	missing int64
}

// gather returns what is to be committed of tenures.
func (s *Stream) gather(tenures []*tenure) (due []*pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tenures {
		if t.ended || !t.uncommitted() {
			continue
		}
		p := &pending{tenure: t, at: kgo.EpochOffset{Epoch: t.epoch, Offset: t.position()}, settled: t.settled()}
		p.note = note{topic: t.topic, base: p.at.Offset}
		p.note.above, p.note.epoch = t.finished()
		due = append(due, p)
	}
	if !slices.ContainsFunc(s.all(), (*tenure).uncommitted) {
		s.ill.set(ofCommit, 0, nil) // what could not be committed has gone to another member
	}
	return due
}

// shorten bounds notes to half of what was too long for the broker, down to none.
func (c *committer) shorten(tooLong []*pending) {
	if len(tooLong) == 0 {
		return
	}
	longest := 0
	for _, p := range tooLong {
		longest = max(longest, len(p.text))
	}
	if c.most = longest / 2; c.most < leastNote {
		c.most = 0
	}
}

// leastGap is how many events are finished above one that is not, at least, when health says so. It
// is a tenth of the GapLimit if that is more.
const leastGap = 1_000

// leastNote is how long a note is that is worth another attempt.
const leastNote = 64

// commitOnce commits, and returns what the broker did not take because its note is too long, and
// what else went wrong.
func (s *Stream) commitOnce(ctx context.Context, due []*pending) (tooLong []*pending, err error) {
	offsets := map[int32]kgo.EpochOffset{}
	texts := map[int32]string{}
	limit := min(s.commit.most, mostNotes/len(due))
	for _, p := range due {
		p.text, p.missing = "", 0
		if len(p.note.above) > 0 {
			p.text, p.missing = p.note.encode(limit)
		}
		offsets[p.tenure.partition], texts[p.tenure.partition] = p.at, p.text
	}
	s.mu.Lock()
	for _, p := range due {
		p.tenure.tried = commit{p.at.Offset, p.text}
	}
	s.mu.Unlock()
	failed, err := s.request(ctx, offsets, texts)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range due {
		t := p.tenure
		switch refusal := failed[t.partition]; {
		case p.text != "" && isTooLong(refusal):
			tooLong = append(tooLong, p)
		case refusal != nil:
			err = refusal
		case err == nil || len(failed) > 0: // err is another partition's
			t.committed, t.counted = commit{p.at.Offset, p.text}, p.settled
			delete(s.ident.stale, t.partition)
			if !t.ended {
				s.ill.noted(t.partition, p, max(leastGap, s.broker.o.GapLimit/10))
			}
		}
	}
	return tooLong, err
}

// isTooLong reports whether a broker refused a commit because of its metadata.
func isTooLong(err error) bool {
	return errors.Is(err, kerr.OffsetMetadataTooLarge) || errors.Is(err, kerr.InvalidCommitOffsetSize)
}

// request commits offsets with metadata. failed has the partitions that the broker refused; err is
// that of the whole request.
func (s *Stream) request(ctx context.Context, offsets map[int32]kgo.EpochOffset, texts map[int32]string) (
	failed map[int32]error, err error,
) {
	failed = map[int32]error{}
	ctx = kgo.PreCommitFnContext(ctx, func(request *kmsg.OffsetCommitRequest) error {
		for i := range request.Topics {
			for j := range request.Topics[i].Partitions {
				p := &request.Topics[i].Partitions[j]
				p.Metadata = new(texts[p.Partition])
			}
		}
		return nil
	})
	s.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.sub.Topic: offsets},
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, failure error) {
			if err = failure; err != nil {
				return
			}
			for _, topic := range answer.Topics {
				for _, p := range topic.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						failed[p.Partition] = err
					}
				}
			}
		})
	return failed, err
}
