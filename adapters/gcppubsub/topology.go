package gcppubsub

import (
	"cmp"
	"context"
	"fmt"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"google.golang.org/protobuf/types/known/durationpb"
)

// What tells whose a subscription is, in its labels.
const (
	topicLabel = "leat-topic"
	groupLabel = "leat-group"
)

var _ leat.Declarer = (*Broker)(nil)

// plan is what a subscription is at Pub/Sub.
type plan struct {
	sub              leat.Subscription
	topic, path      string // full names
	ownTopic, ownSub bool   // Leat may create them
}

func (b *Broker) planOf(sub leat.Subscription) *plan {
	p := &plan{sub: sub}
	p.topic, p.ownTopic = b.topicPath(sub.Topic)
	if sub.Group != "" {
		p.path, p.ownSub = b.subscriptionPath(sub.Topic, sub.Group)
	}
	return p
}

// Declare implements [leat.Declarer]: it creates, checks or ignores the topic and the subscription
// of each group, as [Options].Provision says. The error reports every difference:
// [leat.CodeNotFound] for what does not exist, [leat.CodeConflict] for what exists in another form,
// and [leat.CodeUnsupported] for what cannot be held.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, subs...); err != nil {
		return err
	}
	if b.o.Provision == ProvisionOff {
		return nil
	}
	var errs []error
	for _, sub := range subs {
		if _, err := b.build(ctx, b.planOf(sub)); err != nil {
			errs = append(errs, fail(ctx, "declare", sub.Topic, err))
		}
	}
	return fault.Join(errs...)
}

// provision does for a subscription what the Provision option says, and returns it as it is at
// Pub/Sub.
func (b *Broker) provision(ctx context.Context, sub leat.Subscription) (*pb.Subscription, error) {
	p := b.planOf(sub)
	if b.o.Provision != ProvisionOff {
		return b.build(ctx, p)
	}
	if sub.Broadcast {
		return &pb.Subscription{}, nil // Subscribe creates one
	}
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	is, err := b.look(ctx, p)
	switch {
	case codeOf(err) == leat.CodePermissionDenied && err != nil: // a subscriber need not have it
		return &pb.Subscription{Name: p.path, EnableMessageOrdering: !sub.Unordered}, nil
	case err != nil:
		return nil, at("the subscription", p.path, err)
	}
	d := &differences{}
	d.held(p, is)
	return is, d.err()
}

// build makes sure that what a plan says exists, as far as Options.Provision says. It returns no
// subscription where the plan has none.
func (b *Broker) build(ctx context.Context, p *plan) (*pb.Subscription, error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	d := &differences{verify: b.o.Provision == ProvisionVerify}
	if err := b.buildTopic(ctx, p, d); err != nil {
		return nil, err
	}
	if p.path == "" {
		return nil, d.err()
	}
	is, err := b.look(ctx, p)
	if err != nil && codeOf(err) == leat.CodeNotFound {
		if d.verify || !p.ownSub {
			d.missing("the subscription", p.path)
			return nil, d.err()
		}
		d.held(p, b.o.newSubscription(p))
		if err := d.err(); err != nil { // it is not created
			return nil, err
		}
		if is, err = b.create(ctx, p); err != nil {
			return nil, about("creating the subscription", p.path, err)
		}
	}
	if err != nil {
		return nil, at("the subscription", p.path, err)
	}
	d.subscription(p, is, &b.o)
	return is, d.err()
}

// buildTopic finds or creates the topic.
func (b *Broker) buildTopic(ctx context.Context, p *plan, d *differences) error {
	is, err := b.topics.GetTopic(ctx, &pb.GetTopicRequest{Topic: p.topic})
	switch {
	case err == nil:
		d.topic(p, is, &b.o)
		return nil
	case codeOf(err) != leat.CodeNotFound:
		return at("the topic", p.topic, err)
	case d.verify || !p.ownTopic:
		d.missing("the topic", p.topic)
		return nil
	}
	_, err = b.topics.CreateTopic(ctx, b.o.newTopic(p))
	if err != nil && codeOf(err) != leat.CodeConflict { // then somebody else was faster
		return about("creating the topic", p.topic, err)
	}
	return nil
}

// newTopic is a topic that Leat creates.
func (o *Options) newTopic(p *plan) *pb.Topic {
	t := &pb.Topic{Name: p.topic, MessageRetentionDuration: seconds(o.TopicRetention)}
	if len(o.Regions) > 0 {
		t.MessageStoragePolicy = &pb.MessageStoragePolicy{AllowedPersistenceRegions: o.Regions}
	}
	return t
}

// seconds returns a duration, nil for none.
func seconds(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// newSubscription is a subscription that Leat creates. It never expires: by default Pub/Sub deletes
// one that nobody used for 31 days.
func (o *Options) newSubscription(p *plan) *pb.Subscription {
	s := &pb.Subscription{
		Name: p.path, Topic: p.topic, EnableMessageOrdering: !p.sub.Unordered, AckDeadlineSeconds: int32(o.AckDeadline / time.Second),
		MessageRetentionDuration: seconds(o.Retention), RetainAckedMessages: o.RetainAcked, Filter: o.filter(p.sub.Group),
		EnableExactlyOnceDelivery: o.ExactlyOnce, ExpirationPolicy: &pb.ExpirationPolicy{},
		Labels: map[string]string{topicLabel: label(p.sub.Topic), groupLabel: label(p.sub.Group)},
	}
	if o.DeadLetterTopic != "" {
		s.DeadLetterPolicy = &pb.DeadLetterPolicy{
			DeadLetterTopic: o.deadLetters(), MaxDeliveryAttempts: int32(cmp.Or(o.DeadLetterAttempts, mostAttempts)),
		}
	}
	return s
}

// filter returns the filter of a group. That of a poison queue has none: its events may be in a
// form that has not the attributes of the originals.
func (o *Options) filter(group string) string {
	if group == leat.ReplayGroup {
		return ""
	}
	return o.Filter
}

// look returns the subscription of a plan as it is.
func (b *Broker) look(ctx context.Context, p *plan) (*pb.Subscription, error) {
	return b.subscriptions.GetSubscription(ctx, &pb.GetSubscriptionRequest{Subscription: p.path})
}

// create creates the subscription of a plan.
func (b *Broker) create(ctx context.Context, p *plan) (*pb.Subscription, error) {
	is, err := b.subscriptions.CreateSubscription(ctx, b.o.newSubscription(p))
	if err != nil && codeOf(err) == leat.CodeConflict { // somebody else was faster
		return b.look(ctx, p)
	}
	return is, err
}

// at says what an error of a call about one thing is about, which a declaration creates. The error
// may be nil.
func at(what, path string, err error) error {
	if codeOf(err) == leat.CodeNotFound {
		return missing(what, path)
	}
	return about(what, path, err)
}

// about says what an error of any other call is about. What does not exist then may be something
// else, such as the project, a dead-letter topic or a snapshot: Pub/Sub says it. The error may be
// nil.
func about(what, path string, err error) error {
	if err == nil {
		return nil
	}
	return &leat.Error{Code: codeOf(err), Err: fmt.Errorf("%s %q: %w", what, short(path), explain(err))}
}

func missing(what, path string) error {
	return &leat.Error{Code: leat.CodeNotFound, Err: fmt.Errorf("%s %q does not exist; declare a subscription of it (leat.Declare, "+
		"or leat.Run, which does) with ProvisionCreate (provision=create), or create it", what, short(path))}
}
