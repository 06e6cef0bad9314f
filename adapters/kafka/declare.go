package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Declare implements [leat.Declarer] as [Options].Provision says. With [StartLatest] it also notes,
// for groups that have no offsets yet, where the topic ends now. Every difference that
// ProvisionVerify finds is in the error, with [leat.CodeNotFound] for a topic that does not exist
// and [leat.CodeConflict] for one that is not as it should be.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, subs...); err != nil {
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
	return fault.Join(errs...)
}

func (b *Broker) declareTopic(ctx context.Context, topic string) error {
	switch b.o.Provision {
	case ProvisionOff:
		return nil
	case ProvisionVerify:
		return b.verifyTopic(ctx, topic)
	case ProvisionCreate:
	}
	if n, err := b.partitions(ctx, topic); !errors.Is(err, errNoTopic) {
		if err == nil && b.o.Partitions > 0 && n != b.o.Partitions {
			if _, told := b.differ.LoadOrStore(topic, true); !told {
				b.o.log(linePartitions, topic, n, b.o.Partitions)
			}
		}
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
