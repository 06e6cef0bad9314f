package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A client consumes from and produces to the first topic of a name that it has seen, by the topic's
// id, and refuses another one of the same name for as long as it lives (franz-go since 1.22.0,
// TestTopicDeletedAndCreatedAgain). The stream and the publisher notice that, and make the client
// forget the old topic.

// identity is which topic of its name a stream consumes. The stream's lock guards it.
type identity struct {
	id     kadm.TopicID       // zero where the cluster has no ids, before Kafka 3.1: then nothing can be noticed
	past   []kadm.TopicID     // of the topics of that name that were deleted
	stale  map[int32]progress // what the stream had committed of the last one; a commit that was late may have reached the new one
	doubts chan struct{}      // holds a token when the topic may have been deleted
}

// isOfAnother reports whether an error may mean that the topic was deleted.
func isOfAnother(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.InconsistentTopicID) ||
		errors.Is(err, kerr.FetchSessionTopicIDError)
}

// doubt asks for a look at the topic. It does not block.
func (i *identity) doubt() {
	select {
	case i.doubts <- struct{}{}:
	default:
	}
}

// isPast reports whether an id is that of a topic that was deleted. The lock is held.
func (i *identity) isPast(id kadm.TopicID) bool {
	return len(i.past) > 0 && slices.Contains(i.past, id)
}

// identityPause is the time between two looks at a topic that may be gone.
const identityPause = 500 * time.Millisecond

// watchTopic looks at the topic while its identity is in doubt.
func (s *Stream) watchTopic() {
	for {
		select {
		case <-s.ident.doubts:
		case <-s.quit:
			return
		}
		for s.inDoubt() && s.sleep(identityPause) {
		}
	}
}

// inDoubt looks at the topic once, goes over to a new one, and reports whether to look again.
func (s *Stream) inDoubt() bool {
	ctx, cancel := s.broker.bounded(s.client.Context())
	defer cancel()
	topic, err := s.lookAtTopic(ctx)
	if err != nil {
		return s.client.Context().Err() == nil
	}
	if topic.Err != nil || len(topic.Partitions) == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ill.set(ofTopic, 0, cmp.Or(topic.Err, error(kerr.LeaderNotAvailable)))
		return true
	}
	s.mu.Lock()
	same, past := topic.ID == s.ident.id, slices.Contains(s.ident.past, topic.ID)
	if same {
		s.ill.set(ofTopic, 0, nil)
	}
	s.mu.Unlock()
	switch {
	case same || topic.ID == kadm.TopicID{}:
		return false
	case past:
		return true // a broker that does not know of the new one yet
	}
	s.moveTo(ctx, topic)
	return false
}

// lookAtTopic asks once for the topic as it is now.
func (s *Stream) lookAtTopic(ctx context.Context) (kadm.TopicDetail, error) {
	metadata, err := within(ctx, func() (kadm.Metadata, error) { return s.broker.admin.Metadata(ctx, s.sub.Topic) })
	return metadata.Topics[s.sub.Topic], err
}

var errDeleted = errors.New("the topic was deleted and created again: what was delivered of the old one is not the group's any more")

// moveTo ends all that the stream has of the topic that was deleted, and begins with the new one at
// its start. Nothing of the old one is committed any more.
func (s *Stream) moveTo(ctx context.Context, topic kadm.TopicDetail) {
	select { // a commit that is under way is of the old topic
	case s.commit.turn <- struct{}{}:
		defer func() { <-s.commit.turn }()
	case <-ctx.Done():
	}
	s.mu.Lock()
	if s.closed || s.fatal != nil {
		s.mu.Unlock()
		return
	}
	s.ident.past = append(s.ident.past, s.ident.id)
	s.ident.id, s.topic = topic.ID, topicIDOf(topic.ID)
	tenures := s.all()
	s.end(tenures)
	s.ident.stale = s.progress
	for _, t := range tenures {
		s.ident.stale[t.partition] = progress{committed: t.committed, tried: t.tried}
	}
	s.progress = map[int32]progress{}
	s.ill.set(ofTopic, 0, nil)
	s.mu.Unlock()
	for _, t := range tenures {
		t.lease.End(errDeleted)
	}
	s.log(lineNewTopic)
	if !s.sub.Broadcast {
		s.consumeAnew(tenures)
		return
	}
	s.client.PurgeTopicsFromConsuming(s.sub.Topic)
	s.awaitIdle()
	s.mu.Lock()
	tenures = s.all() // watchPartitions began them meanwhile, and the client has forgotten them with the topic
	s.end(tenures)
	s.mu.Unlock()
	for _, t := range tenures {
		t.lease.End(errDeleted)
	}
	s.addPartitions()
}

// consumeAnew makes the client of a group forget the topic, and consume it again. Where the client
// may be asking for the offsets of partitions, the session of the group that comes next fails in
// fetched, and the member joins again.
//
// Without that, records are skipped (franz-go 1.22.2, in one of thirty runs of
// TestTopicDeletedAndCreatedAgain on a busy machine): offsets that the client asks for are set
// although the topic was forgotten, and records come from there. The next session sets them again,
// and a fetch that is under way then puts the client behind its records, which nobody got. A
// session that fails lets go of everything.
//
// It is not done where the client is seen not to ask: joining takes time, in a classic group that
// of a heartbeat of each member. Such a look is a moment too early now and then; beginsLate finds
// what is skipped.
func (s *Stream) consumeAnew(tenures []*tenure) {
	set := s.client.CommittedOffsets()[s.sub.Topic] // those that the client has set
	s.mu.Lock()
	s.anew = s.starting > 0 || slices.ContainsFunc(tenures, func(t *tenure) bool {
		_, isSet := set[t.partition]
		return !t.began && (!t.asked || t.placed && !isSet)
	})
	s.mu.Unlock()
	s.client.PurgeTopicsFromConsuming(s.sub.Topic)
	s.client.AddConsumeTopics(s.sub.Topic)
}

var errAnew = errors.New("the topic is consumed anew, for which the member joins the group again")

// endsAnew reports whether this session of the group is the one that fails.
func (s *Stream) endsAnew() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	anew := s.anew
	s.anew = false
	return anew
}

// ofOld reports whether an offset that the group has committed is one that this stream has
// committed of the topic that was deleted: before Kafka 4.2, a commit that was under way then may
// arrive in the new topic, which would begin in its middle (TestLateCommitOfADeletedTopic). The
// lock is held.
func (s *Stream) ofOld(partition int32, committed int64) bool {
	old, ok := s.ident.stale[partition]
	return ok && committed >= 0 && (committed == old.committed.offset || committed == old.tried.offset)
}

// purge makes the client that publishes forget a topic that was deleted, so that it finds the one
// that was created in its place.
func (p *publisher) purge(topic string) {
	if _, busy := p.purging.LoadOrStore(topic, true); busy {
		return
	}
	p.purges.Go(func() {
		defer p.purging.Delete(topic)
		p.o.log(lineNewTopicPublished, topic)
		p.clients.current().PurgeTopicsFromProducing(topic)
	})
}
