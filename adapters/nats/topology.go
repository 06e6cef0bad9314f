package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

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
	subjects        []string // of its messages; patterns, the subject that is published to included

	name   string
	exists *sync.Map // the names of the topics that are known to exist
}

// confirm notes that the topic exists.
func (t *topic) confirm() { t.exists.LoadOrStore(t.name, struct{}{}) }

// isKnown reports whether the topic is known to exist, so that its stream has no leader when nobody
// answers.
func (t *topic) isKnown() bool {
	_, known := t.exists.Load(t.name)
	return known
}

// name returns the name of a stream or consumer, which takes no dots.
func name(of string) string { return adapterkit.Names{MaxBytes: mostNameBytes}.Name(of) }

// topicOf returns what a topic is.
func (b *Broker) topicOf(of string) *topic {
	if t, ok := b.topics.Load(of); ok {
		return t
	}
	c := b.streamConfig(of)
	t := &topic{stream: c.Name, subjects: c.Subjects, name: of, exists: &b.exists}
	if len(c.Subjects) > 0 {
		t.subject = c.Subjects[0]
	}
	return b.topics.LoadOrStore(of, t)
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

// consumerConfig returns what a group is. stream may be nil where only the name matters.
func (b *Broker) consumerConfig(
	sub leat.Subscription, stream *jetstream.StreamConfig,
) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: name(sub.Group), AckPolicy: jetstream.AckExplicitPolicy, AckWait: b.o.AckWait,
		MaxDeliver: -1, MaxAckPending: -1, MaxWaiting: 2048, // each stream bounds its own
		Metadata: map[string]string{groupTag: sub.Group},
	}
	c.FilterSubject, c.FilterSubjects = b.topicOf(sub.Topic).filter(stream)
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
		err := b.do(ctx, func(ctx context.Context, js jetstream.JetStream) error {
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
		return nil, nil, fmt.Errorf("the stream %q: %w", t.stream, b.o.explain(err))
	}
	if err := t.check(sub.Topic, s.CachedInfo()); err != nil {
		return nil, nil, err
	}
	t.confirm()
	if sub.Group == "" {
		return s.CachedInfo(), nil, nil
	}
	config := b.consumerConfig(sub, &s.CachedInfo().Config)
	c, err := s.Consumer(ctx, config.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) && b.o.Provision == ProvisionCreate {
		c, err = s.CreateConsumer(ctx, config)
		if errors.Is(err, jetstream.ErrConsumerExists) {
			c, err = s.Consumer(ctx, config.Durable)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the consumer %q of the stream %q: %w",
			config.Durable, t.stream, b.o.explain(err))
	}
	err = checkConsumer(sub, c.CachedInfo(), t.strays(&s.CachedInfo().Config, &c.CachedInfo().Config))
	return s.CachedInfo(), c.CachedInfo(), err
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

// filter is what a consumer gets of a stream, which may carry other subjects too, or may do so
// later. A stream that takes messages of other streams, or changes their subjects, gets no filter:
// what it stores is not under the subjects that it takes.
func (t *topic) filter(stream *jetstream.StreamConfig) (one string, several []string) {
	switch {
	case stream == nil || storesOthers(stream):
		return "", nil
	case len(t.subjects) == 1:
		return t.subject, nil
	}
	return "", t.subjects
}

func storesOthers(c *jetstream.StreamConfig) bool {
	return c.Mirror != nil || len(c.Sources) > 0 || c.SubjectTransform != nil
}

// strays returns what is wrong with the subjects that a consumer gets, or "".
func (t *topic) strays(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig) string {
	gets := c.FilterSubjects
	switch {
	case storesOthers(stream):
		return ""
	case c.FilterSubject != "":
		gets = []string{c.FilterSubject}
	case len(gets) == 0:
		gets = stream.Subjects
	}
	complete := false
	for _, subject := range gets {
		covered := func(pattern string) bool { return matches(pattern, subject) }
		if !slices.ContainsFunc(t.subjects, covered) {
			return fmt.Sprintf("also gets the subject %q, which is not one of the topic; "+
				"set its filter_subject to %q, or add the subject by Options.Stream", subject, t.subject)
		}
		complete = complete || matches(subject, t.subject)
	}
	if !complete {
		return fmt.Sprintf("does not get the subject %q; change its filter_subject", t.subject)
	}
	return ""
}

// matches reports whether a subject, or all that a pattern means, is among those that another
// pattern means.
func matches(pattern, subject string) bool {
	patterns, tokens := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, p := range patterns {
		switch {
		case p == ">":
			return len(tokens) > i
		case i >= len(tokens), p != tokens[i] && (p != "*" || tokens[i] == ">"):
			return false
		}
	}
	return len(patterns) == len(tokens)
}

// checkConsumer returns why a consumer cannot hold a subscription, or nil.
// strays says what is wrong with its subjects.
func checkConsumer(sub leat.Subscription, i *jetstream.ConsumerInfo, strays string) error {
	c := &i.Config
	if owner, ok := c.Metadata[groupTag]; ok && owner != sub.Group {
		return &leat.Error{Code: leat.CodeConflict, Err: fmt.Errorf(
			"the consumer %q of the stream %q is that of the group %q; name one of them by Options.Consumer",
			i.Name, i.Stream, owner)}
	}
	why := strays
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
		why = "does not keep order; set Subscription.Unordered, or recreate it with the policy pinned_client"
	case strays == "":
		return nil
	}
	return &leat.Error{Code: leat.CodeUnsupported,
		Err: fmt.Errorf("the consumer %q of the stream %q %s", i.Name, i.Stream, why)}
}

func pinned(c *jetstream.ConsumerConfig) bool {
	return c.PriorityPolicy == jetstream.PriorityPolicyPinned &&
		slices.Equal(c.PriorityGroups, []string{pinGroup})
}
