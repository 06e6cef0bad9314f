package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pinGroup is the only priority group of a consumer that keeps order.
	pinGroup = "leat"
	// What tells whose a stream or consumer is, in its metadata.
	topicTag = "leat-topic"
	groupTag = "leat-group"
	// mostNameBytes is how long the name of a stream or consumer may be.
	mostNameBytes = 255
)

// topic is what a topic is on the servers.
type topic struct {
	stream, subject string
	known           atomic.Bool // it is known to exist
}

// name returns the name of a stream or consumer, which takes no dots.
func name(of string) string { return adapterkit.Names{MaxBytes: mostNameBytes}.Name(of) }

// topicOf returns what a topic is.
func (b *Broker) topicOf(of string) *topic {
	if t, ok := b.topics.Load(of); ok {
		return t.(*topic) //nolint:forcetypeassert // nothing else is stored
	}
	c := b.streamConfig(of)
	t := &topic{stream: c.Name}
	if len(c.Subjects) > 0 {
		t.subject = c.Subjects[0]
	}
	kept, _ := b.topics.LoadOrStore(of, t)
	return kept.(*topic) //nolint:forcetypeassert // likewise
}

func (b *Broker) streamConfig(topic string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: name(topic), Subjects: []string{subjectPrefix + name(topic)}, Replicas: b.o.Replicas,
		MaxAge: b.o.MaxAge, MaxBytes: -1, AllowDirect: true,
		Metadata: map[string]string{topicTag: topic},
	}
	if b.o.Stream != nil {
		b.o.Stream(topic, &c)
	}
	return c
}

func (b *Broker) consumerConfig(sub leat.Subscription) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: name(sub.Group), AckPolicy: jetstream.AckExplicitPolicy, AckWait: b.o.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 2048, // each stream bounds its own
		Metadata: map[string]string{groupTag: sub.Group},
	}
	if b.o.Start == StartNew {
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	}
	if !sub.Unordered {
		c.PriorityPolicy, c.PriorityGroups = jetstream.PriorityPolicyPinned, []string{pinGroup}
		// A stream that takes over holds all that its predecessors left before it delivers.
		c.PinnedTTL, c.MaxAckPending = b.o.PinnedTTL, sub.WithDefaults().MaxInFlight
	}
	if b.o.Consumer != nil {
		b.o.Consumer(sub, &c)
	}
	return c
}

// Declare implements [leat.Declarer]: it creates, checks or ignores the stream of each topic and
// the consumer of each group, as [Options].Provision says.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, subs...); err != nil {
		return err
	}
	if b.o.Provision == ProvisionOff {
		return nil
	}
	var all []error
	for _, sub := range subs {
		err := b.ask(ctx, func(ctx context.Context, js jetstream.JetStream) error {
			_, _, err := b.provision(ctx, js, sub)
			return err
		})
		if err != nil {
			all = append(all, fail(ctx, "declare", sub.Topic, err))
		}
	}
	return fault.Join(all...)
}

// provision returns stream and consumer of a subscription, the latter nil where there is no group.
func (b *Broker) provision(ctx context.Context, js jetstream.JetStream, sub leat.Subscription) (
	*jetstream.StreamInfo, *jetstream.ConsumerInfo, error,
) {
	t := b.topicOf(sub.Topic)
	s, err := js.Stream(ctx, t.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && b.o.Provision == ProvisionCreate {
		s, err = js.CreateStream(ctx, b.streamConfig(sub.Topic))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was faster
			s, err = js.Stream(ctx, t.stream)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the stream %q: %w", t.stream, err)
	}
	if err := t.check(sub.Topic, s.CachedInfo()); err != nil {
		return nil, nil, err
	}
	t.known.Store(true)
	if sub.Group == "" {
		return s.CachedInfo(), nil, nil
	}
	config := b.consumerConfig(sub)
	c, err := s.Consumer(ctx, config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && b.o.Provision == ProvisionCreate {
		c, err = s.CreateConsumer(ctx, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			c, err = s.Consumer(ctx, config.Durable)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the consumer %q of the stream %q: %w",
			config.Durable, t.stream, err)
	}
	return s.CachedInfo(), c.CachedInfo(), checkConsumer(sub, c.CachedInfo())
}

// check returns why a stream cannot be a topic, or nil.
func (t *topic) check(topic string, i *jetstream.StreamInfo) error {
	if owner, ok := i.Config.Metadata[topicTag]; ok && owner != topic {
		return &leat.Error{Code: leat.CodeConflict, Err: fmt.Errorf(
			"the stream %q is that of the topic %q; name one of them by Options.Stream",
			t.stream, owner)}
	}
	for _, pattern := range i.Config.Subjects {
		if matches(pattern, t.subject) {
			return nil
		}
	}
	return &leat.Error{Code: leat.CodeUnsupported, Err: fmt.Errorf(
		"the stream %q does not take the subject %q; add it to the stream, or set Options.Stream",
		t.stream, t.subject)}
}

// matches reports whether a subject is one of those that a pattern with wildcards means.
func matches(pattern, subject string) bool {
	patterns, tokens := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, p := range patterns {
		switch {
		case p == ">":
			return len(tokens) > i
		case i >= len(tokens), p != "*" && p != tokens[i]:
			return false
		}
	}
	return len(patterns) == len(tokens)
}

// checkConsumer returns why a consumer cannot hold a subscription, or nil.
func checkConsumer(sub leat.Subscription, i *jetstream.ConsumerInfo) error {
	c := &i.Config
	if owner, ok := c.Metadata[groupTag]; ok && owner != sub.Group {
		return &leat.Error{Code: leat.CodeConflict, Err: fmt.Errorf(
			"the consumer %q of the stream %q is that of the group %q; name one of them by Options.Consumer",
			i.Name, i.Stream, owner)}
	}
	var why string
	switch {
	case c.AckPolicy != jetstream.AckExplicitPolicy:
		why = "does not have the ack policy explicit; recreate it"
	case c.MaxDeliver > 0:
		why = "gives up after max_deliver deliveries; set that to -1, and use a poison queue"
	case len(c.BackOff) > 0:
		why = "has a backoff; take it away"
	case c.HeadersOnly:
		why = "delivers headers only; recreate it"
	case c.AckWait < minAckWait:
		why = "has an ack_wait of less than a second; make it longer"
	case c.PriorityPolicy != jetstream.PriorityPolicyNone && !pinned(c):
		why = "has another priority policy than none and pinned_client with the group " + pinGroup
	case pinned(c) && c.MaxAckPending < 1: // whoever takes over could not hold what is left
		why = "keeps order without a max_ack_pending; set that to MaxInFlight"
	case !sub.Unordered && !pinned(c):
		why = "does not keep order; set Unordered, or recreate it with the policy pinned_client"
	default:
		return nil
	}
	return &leat.Error{Code: leat.CodeUnsupported,
		Err: fmt.Errorf("the consumer %q of the stream %q %s", i.Name, i.Stream, why)}
}

func pinned(c *jetstream.ConsumerConfig) bool {
	return c.PriorityPolicy == jetstream.PriorityPolicyPinned &&
		slices.Equal(c.PriorityGroups, []string{pinGroup})
}
