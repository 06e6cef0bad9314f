package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// errNoTopic is UNKNOWN_TOPIC_OR_PARTITION where it is final, which Kafka's own error is not.
var errNoTopic error = &leat.Error{Op: "metadata", Code: leat.CodeNotFound, Err: errors.New(
	"nobody has declared the topic yet; declare it (leat.Declare, ProducerOptions.Topics, or leat.Run for what its consumers read) with" +
		" ProvisionCreate (provision=create), or create it")}

// Subscribe implements [leat.Broker]. The topic must exist: otherwise the error has
// [leat.CodeNotFound]. It returns when the cluster has answered that topic and group may be used;
// the group assigns partitions later. The stream is a [*Stream].
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	if err := b.life.RefuseSubscribe(ctx, sub); err != nil {
		return nil, err
	}
	sub = sub.WithDefaults()
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	topic, err := b.readable(ctx, sub.Topic)
	partitions := len(topic.Partitions)
	if err == nil && sub.Group != "" {
		err = b.canProtocol(ctx)
	}
	if err == nil && sub.Group != "" {
		err = b.prepareGroup(ctx, sub, partitions)
	}
	if err != nil {
		return nil, b.fail(caller, "subscribe", sub.Topic, err)
	}
	s := &Stream{
		broker: b, sub: sub, topic: topicIDOf(topic.ID), conns: &connections{outage: b.outage},
		tenures: map[int32]*tenure{}, progress: map[int32]progress{},
		decoder: decoder{mapping: b.o.Mapping, further: b.o.ReadHeaders},
		commit:  committer{turn: make(chan struct{}, 1), due: make(chan struct{}, 1), most: mostNote},
		quit:    make(chan struct{}), gone: make(chan struct{}), paused: map[int32]bool{},
		signal: make(chan struct{}, 1), ident: identity{id: topic.ID, doubts: make(chan struct{}, 1)},
		ill: illness{start: b.skipped(sub)}, silence: fault.Incident{Logger: b.o.Logger}, trouble: fault.Incident{Logger: b.o.Logger},
		unread: fault.Incident{Logger: b.o.Logger},
		caps:   leat.Capabilities{Order: leat.OrderPerGroup, History: b.o.Start == StartEarliest, Durable: true, Watermark: true},
	}
	s.keepBook()
	opts := b.consumerOptions(sub)
	if sub.Broadcast {
		s.caps = leat.Capabilities{Order: leat.OrderPerStream, Durable: true, Broadcast: true}
		direct, err := s.fromTheEnd(ctx, partitions)
		if err != nil {
			return nil, b.fail(caller, "subscribe", sub.Topic, err)
		}
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{sub.Topic: direct}))
	} else {
		s.presence = newPresence(&b.o)
		s.leases = leat.NewTimedLeases(s.presence.timeout)
		opts = append(opts, s.groupOptions()...)
	}
	open, cancelClient := context.WithCancel(context.Background())
	s.cancel = cancelClient
	if _, err = b.newClient(open, s.conns, append(opts, kgo.WithHooks(s))); err != nil {
		s.cancel()
		b.forget(s)
		return nil, &leat.Error{Op: "subscribe", Topic: sub.Topic, Code: leat.CodeInvalid, Err: err}
	}
	s.wg.Go(s.watchTopic)
	s.every(stallLook, s.lookForStalls)
	if sub.Broadcast {
		s.every(s.partitionsEvery(), s.addPartitions)
	} else {
		s.wg.Go(s.commitLoop)
		s.wg.Go(s.watchPresence)
		if b.o.Protocol == ProtocolConsumer {
			s.every(promiseEvery, s.watchPromise)
		}
	}
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// every calls look again and again until the stream is closed.
func (s *Stream) every(pause time.Duration, look func()) {
	s.wg.Go(func() {
		for s.sleep(pause) {
			look()
		}
	})
}

// sleep waits, and reports whether the stream is still open.
func (s *Stream) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.quit:
		return false
	}
}

// OnNewClient is called by the client before it begins to call the stream.
func (s *Stream) OnNewClient(client *kgo.Client) { s.client = client }

// partitions returns how many partitions a topic has, asking the cluster.
func (b *Broker) partitions(ctx context.Context, topic string) (int, error) {
	detail, err := b.topic(ctx, topic)
	return len(detail.Partitions), err
}

// readable is topic for one that is to be read, which takes a permission more.
func (b *Broker) readable(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	detail, err := b.topic(kadm.WithAuthorizedOps(ctx), topic)
	if may := detail.AuthorizedOperations; err == nil && len(may) > 0 && !slices.Contains(may, kadm.OpRead) {
		err = fmt.Errorf("the topic may be described, but not read: %w", kerr.TopicAuthorizationFailed)
	}
	return detail, err
}

// topic asks the cluster for a topic.
func (b *Broker) topic(ctx context.Context, topic string) (kadm.TopicDetail, error) {
	return retry(ctx, func() (kadm.TopicDetail, error) {
		metadata, err := b.admin.Metadata(ctx, topic)
		if err != nil {
			return kadm.TopicDetail{}, err
		}
		detail := metadata.Topics[topic]
		// Which counts as retriable, and is, as long as not all brokers know of a topic that was
		// just created.
		if _, known := b.known.Load(topic); known || !errors.Is(detail.Err, kerr.UnknownTopicOrPartition) || len(detail.Partitions) > 0 {
			return detail, detail.Err
		}
		return kadm.TopicDetail{}, errNoTopic
	})
}

// fetchMaxWait is how long a broker holds a fetch that finds nothing, as in the Java client.
// Partitions that are new to a stream are only in the next fetch, so their first records come that
// much later.
const fetchMaxWait = 500 * time.Millisecond

// consumerOptions are the options of a client that consumes.
func (b *Broker) consumerOptions(sub leat.Subscription) []kgo.Opt {
	most := int32(min(max(sub.MaxInFlightBytes/4, 1<<20), 16<<20))
	opts := []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(most), kgo.KeepRetryableFetchErrors(),
		kgo.KeepControlRecords(), // the end of a transaction has an offset, which the group's must pass, and what was aborted lies below
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(fetchMaxWait),
	}
	if b.o.Rack != "" {
		opts = append(opts, kgo.Rack(b.o.Rack))
	}
	return opts
}

// groupOptions are the options of a member of a group.
func (s *Stream) groupOptions() []kgo.Opt {
	o := &s.broker.o
	opts := []kgo.Opt{
		kgo.ConsumerGroup(s.sub.Group), kgo.ConsumeTopics(s.sub.Topic), kgo.DisableAutoCommit(),
		kgo.RebalanceTimeout(o.RebalanceTimeout), kgo.SessionTimeout(o.SessionTimeout), kgo.HeartbeatInterval(o.HeartbeatInterval),
		kgo.OnPartitionsAssigned(s.assigned), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
		kgo.WithHooks(s.presence), kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.broker.dialer.dial(ctx, network, address)
			return conn, patient(err)
		}),
		kgo.RequestRetries(math.MaxInt32), kgo.RetryTimeoutFn(s.retryFor),
		kgo.OnOffsetsFetched(s.readNotes), kgo.AdjustFetchOffsetsFn(s.fetched),
	}
	if o.Protocol == ProtocolConsumer {
		opts = append(opts, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	} else {
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	}
	if id := s.instanceID(); id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	return opts
}

// retryFor is how long the client tries a request again: a heartbeat until the group answers, since
// presence has a clock; others as long as it does by itself. On its own, franz-go (1.22.2) ends the
// session after 20 tries, which are 18 s, or at the SessionTimeout, which is not that of the group
// with ProtocolConsumer. Then every lease is lost that a suspension would have kept.
func (s *Stream) retryFor(key int16) time.Duration {
	switch key {
	case heartbeatKey, groupHeartbeatKey:
		return 0 // without end
	case joinKey, syncKey:
		return s.broker.o.SessionTimeout
	}
	return 30 * time.Second
}

// committed returns what a group has committed. A group that does not exist yet has committed
// nothing; some brokers call that an error.
func (b *Broker) committed(ctx context.Context, group, topic string) (kadm.OffsetResponses, error) {
	offsets, err := b.admin.FetchOffsetsForTopics(ctx, group, topic)
	if err = cmp.Or(err, offsets.Error()); errors.Is(err, kerr.GroupIDNotFound) {
		return kadm.OffsetResponses{}, nil
	}
	return offsets, err
}

// endOffsets returns where the partitions of a topic end.
func (b *Broker) endOffsets(ctx context.Context, topic string) (kadm.ListedOffsets, error) {
	return listed(ctx, topic, b.admin.ListEndOffsets)
}

// lister is a question for offsets of all partitions of topics.
type lister func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)

// listed returns offsets of all partitions of a topic.
func listed(ctx context.Context, topic string, list lister) (kadm.ListedOffsets, error) {
	return retry(ctx, func() (kadm.ListedOffsets, error) {
		offsets, err := list(ctx, topic)
		return offsets, cmp.Or(err, offsets.Error())
	})
}

// startOffsets returns where the partitions of a topic begin, of those that say so at once.
func (b *Broker) startOffsets(ctx context.Context, topic string) (kadm.ListedOffsets, error) {
	return within(ctx, func() (kadm.ListedOffsets, error) { return b.admin.ListStartOffsets(ctx, topic) })
}

// forget is the end of a stream.
func (b *Broker) forget(s *Stream) {
	b.life.Remove(s)
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.member > 0 {
		delete(b.members[s.sub.Group], s.member)
	}
}

// instanceID returns the id of a static member, "" for others: the lowest number that no other
// stream of the group has here, so that a restart that opens the same streams gets the same ids.
func (s *Stream) instanceID() string {
	b := s.broker
	if b.o.InstanceID == "" || s.sub.Broadcast {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.members[s.sub.Group]
	if taken == nil {
		taken = map[int]bool{}
		b.members[s.sub.Group] = taken
	}
	s.member = 1
	for taken[s.member] {
		s.member++
	}
	taken[s.member] = true
	if s.member == 1 {
		return b.o.InstanceID
	}
	return fmt.Sprintf("%s-%d", b.o.InstanceID, s.member)
}
