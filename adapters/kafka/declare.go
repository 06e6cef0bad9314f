package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Declare implements [leat.Declarer] as [Options].Provision says. With [StartLatest] it also notes, for groups that have no offsets yet,
// where the topic ends now. Every difference that ProvisionVerify finds is in the error, with [leat.CodeNotFound] for a topic that does
// not exist and [leat.CodeConflict] for one that is not as it should be.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	for _, sub := range subs {
		if err := sub.Validate(); err != nil {
			return err
		}
	}
	if err := b.refusal(ctx, "declare", ""); err != nil {
		return err
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	var errs []error
	done := map[string]bool{}
	for _, sub := range subs {
		var err error
		if !done[sub.Topic] {
			done[sub.Topic] = true
			err = b.declareTopic(ctx, sub.Topic)
		}
		if err == nil && b.o.Start == StartLatest && sub.Group != "" && b.o.Provision != ProvisionOff {
			err = b.declareGroup(ctx, sub)
		}
		if err == nil {
			continue
		}
		errs = append(errs, b.fail(caller, "declare", sub.Topic, err))
	}
	return join(errs)
}

func (b *Broker) declareTopic(ctx context.Context, topic string) error {
	switch b.o.Provision {
	case ProvisionOff:
		return nil
	case ProvisionVerify:
		return b.verifyTopic(ctx, topic)
	case ProvisionCreate:
	}
	if _, err := b.partitions(ctx, topic); !errors.Is(err, errNoTopic) {
		return err
	}
	config := map[string]*string{}
	for name, value := range b.o.TopicConfig {
		config[name] = &value
	}
	_, err := retry(ctx, func() (struct{}, error) {
		replicas := int16(orDefault(b.o.ReplicationFactor))
		answer, err := b.admin.CreateTopic(ctx, orDefault(b.o.Partitions), replicas, config, topic)
		if errors.Is(err, kerr.InvalidReplicationFactor) && b.o.ReplicationFactor == 0 {
			// Not enough brokers for the cluster's own default: some have not come back yet.
			return struct{}{}, fmt.Errorf("%w: %w", kerr.BrokerNotAvailable, err)
		}
		if err != nil && answer.ErrMessage != "" { // which says what is wrong with a configuration
			return struct{}{}, fmt.Errorf("%w (%s)", err, answer.ErrMessage)
		}
		return struct{}{}, err
	})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	b.known.Store(topic, true)
	return b.awaitTopic(ctx, topic)
}

// orDefault is Kafka's way to ask for the cluster's default.
func orDefault(n int) int32 {
	if n == 0 {
		return -1
	}
	return int32(n)
}

// awaitTopic waits until every partition of a new topic has a leader.
func (b *Broker) awaitTopic(ctx context.Context, topic string) error {
	_, err := retry(ctx, func() (struct{}, error) {
		metadata, err := b.admin.Metadata(ctx, topic)
		if err != nil {
			return struct{}{}, err
		}
		detail := metadata.Topics[topic]
		for _, p := range detail.Partitions {
			if p.Err != nil {
				return struct{}{}, fmt.Errorf("the topic was created; partition %d: %w", p.Partition, p.Err)
			}
		}
		return struct{}{}, detail.Err
	})
	return err
}

func (b *Broker) declareGroup(ctx context.Context, sub leat.Subscription) error {
	partitions, err := b.partitions(ctx, sub.Topic)
	if err != nil {
		return err
	}
	return b.prepareGroup(ctx, sub, partitions)
}

// verifyTopic returns all differences between a topic and the options.
func (b *Broker) verifyTopic(ctx context.Context, topic string) error {
	detail, err := b.topic(ctx, topic)
	if err != nil {
		return err
	}
	var differences []error
	differ := func(what string, is, want any) {
		differences = append(differences, fmt.Errorf("%s is %v and should be %v", what, is, want))
	}
	if n := len(detail.Partitions); b.o.Partitions > 0 && n != b.o.Partitions {
		differ("the number of partitions", n, b.o.Partitions)
	}
	if n := detail.Partitions.NumReplicas(); b.o.ReplicationFactor > 0 && n != b.o.ReplicationFactor {
		differ("the replication factor", n, b.o.ReplicationFactor)
	}
	if err := b.verifyConfig(ctx, topic, differ); err != nil {
		return err
	}
	if len(differences) == 0 {
		return nil
	}
	return &leat.Error{Op: "declare", Topic: topic, Code: leat.CodeConflict, Err: errors.Join(differences...)}
}

func (b *Broker) verifyConfig(ctx context.Context, topic string, differ func(what string, is, want any)) error {
	if len(b.o.TopicConfig) == 0 {
		return nil
	}
	resource, err := retry(ctx, func() (kadm.ResourceConfig, error) {
		described, err := b.admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return kadm.ResourceConfig{}, err
		}
		resource, err := described.On(topic, nil)
		return resource, cmp.Or(err, resource.Err)
	})
	if err != nil {
		return err
	}
	values := map[string]string{}
	for _, c := range resource.Configs {
		values[c.Key] = c.MaybeValue()
	}
	for _, name := range slices.Sorted(maps.Keys(b.o.TopicConfig)) {
		if is, ok := values[name]; !ok {
			differ("the configuration "+name, "unknown to the cluster", b.o.TopicConfig[name])
		} else if is != b.o.TopicConfig[name] {
			differ("the configuration "+name, is, b.o.TopicConfig[name])
		}
	}
	return nil
}

// Lag is how far a group is behind in one partition.
type Lag struct {
	Partition int32
	// Committed is the offset that the group has committed, -1 when it has none.
	Committed int64
	// End is the offset that the next record will get.
	End int64
	// Events is how many offsets lie between, without the Finished: no fewer than the records that are still to be handled.
	Events int64
	// Finished is how many offsets above Committed are finished, and not handled again, though an event below them is not finished.
	Finished int64
	// Unnoted is how many events above Committed are finished and do not fit into what Kafka keeps with the offset. They are in Events, and
	// are handled again when the partition goes to another member.
	Unnoted int64
}

// Lag returns how far a group is behind, by partition. It asks the cluster, and needs no stream. The error is an [*leat.Error].
func (b *Broker) Lag(ctx context.Context, topic, group string) ([]Lag, error) {
	if err := b.refusal(ctx, "lag", topic); err != nil {
		return nil, err
	}
	caller := ctx
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	lag, err := b.lag(ctx, topic, group)
	if err != nil {
		return nil, b.fail(caller, "lag", topic, err)
	}
	return lag, nil
}

func (b *Broker) lag(ctx context.Context, topic, group string) ([]Lag, error) {
	if _, err := b.partitions(ctx, topic); err != nil {
		return nil, err
	}
	committed, err := retry(ctx, func() (kadm.OffsetResponses, error) { return b.committed(ctx, group, topic) })
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	list := func(list func(context.Context, ...string) (kadm.ListedOffsets, error)) (kadm.ListedOffsets, error) {
		return retry(ctx, func() (kadm.ListedOffsets, error) {
			offsets, err := list(ctx, topic)
			return offsets, cmp.Or(err, offsets.Error())
		})
	}
	ends, err := list(b.admin.ListCommittedOffsets)
	if err != nil {
		return nil, err
	}
	starts, err := list(b.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	var lag []Lag
	ends.Each(func(end kadm.ListedOffset) {
		l := Lag{Partition: end.Partition, Committed: -1, End: end.Offset}
		from := int64(0)
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			from = start.Offset
		}
		if at, ok := committed.Lookup(topic, end.Partition); ok && at.At >= 0 {
			l.Committed = at.At
			from = max(from, at.At)
			if n, ok := parseNote(at.Metadata); ok && n.base == at.At {
				_, above := n.above.below(end.Offset).absorb(from)
				l.Finished, l.Unnoted = above.count(), n.missing
			}
		} else if b.o.Start == StartLatest && !hasOffsets(committed) {
			from = end.Offset
		}
		l.Events = max(0, end.Offset-from-l.Finished)
		lag = append(lag, l)
	})
	slices.SortFunc(lag, func(a, b Lag) int { return int(a.Partition - b.Partition) })
	return lag, nil
}
