package awssnssqs

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// What tells whose a queue is, in its tags.
const (
	topicTag = "leat-topic"
	groupTag = "leat-group"
)

var _ leat.Declarer = (*Broker)(nil)

// target is where the events of a topic go.
type target struct {
	id   string // the ARN of the SNS topic, or the URL of the queue in ModeSQS
	fifo bool
}

// queue is where the events of a group come from.
type queue struct {
	url      string
	name     string
	fifo     bool
	redrives int // maxReceiveCount of its redrive policy; 0 without one
}

// redriveNote says what a redrive policy does to the promises of Leat, "" where there is none.
func (q *queue) redriveNote() string {
	if q.redrives == 0 {
		return ""
	}
	note := fmt.Sprintf("the queue %q has a redrive policy: SQS moves a message that was received %d times to its dead-letter "+
		"queue, however many attempts the consumer allows, and a delivery that is given back counts", q.name, q.redrives)
	if q.fifo {
		note += "; the later events of its key go on without it"
	}
	return note + "; remove the policy, or make its maxReceiveCount as high as SQS allows (1,000)"
}

// kindOf reports whether a topic or a queue is FIFO, which AWS shows in its name.
func kindOf(id string) bool { return strings.HasSuffix(id, fifoSuffix) }

// nameOf returns the name at the end of an ARN or of a URL.
func nameOf(id string) string { return id[strings.LastIndexAny(id, ":/")+1:] }

// target finds where the events of a topic go. The error is one of the SDK, or an [*leat.Error].
func (b *Broker) target(ctx context.Context, topic string) (target, error) {
	id, err := b.o.Topics[topic], error(nil)
	switch {
	case id != "":
	case b.o.Mode == ModeSQS:
		var known bool
		if id, known = b.urls.Load(topic); !known {
			if id, err = b.queueURL(ctx, b.topicName(topic)); err == nil {
				b.urls.LoadOrStore(topic, id)
			}
		}
	default:
		if id, err = b.arns(ctx); err == nil && id == "" {
			err = missing("the SNS topic", b.topicName(topic))
		}
		id += b.topicName(topic)
	}
	return target{id: id, fifo: kindOf(id)}, err
}

// topicName returns the name of a topic, or of its queue in ModeSQS.
func (b *Broker) topicName(topic string) string {
	if b.o.Mode == ModeSQS {
		return name(mostQueueName, !b.o.Standard, topic)
	}
	return name(mostTopicName, !b.o.Standard, topic)
}

// arns returns what the ARNs of the account's topics begin with, "" where it has no topic. AWS
// tells the account by the ARN of any topic.
func (b *Broker) arns(ctx context.Context) (string, error) {
	if known := b.account.Load(); known != nil {
		return *known, nil
	}
	page, err := b.sns.ListTopics(ctx, &sns.ListTopicsInput{})
	if err != nil || len(page.Topics) == 0 {
		return "", err
	}
	return b.learn(*page.Topics[0].TopicArn), nil
}

// learn remembers what the ARNs of the account's topics begin with.
func (b *Broker) learn(arn string) string {
	begin := strings.TrimSuffix(arn, nameOf(arn))
	b.account.Store(&begin)
	return begin
}

func (b *Broker) queueURL(ctx context.Context, name string) (string, error) {
	out, err := b.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", at("the queue", name, err)
	}
	return *out.QueueUrl, nil
}

// at says what an error of the SDK is about.
func at(what, name string, err error) error {
	if codeOf(err) == leat.CodeNotFound {
		return missing(what, name)
	}
	return &leat.Error{Code: codeOf(err), Err: fmt.Errorf("%s %q: %w", what, name, explain(err))}
}

func missing(what, name string) error {
	return &leat.Error{Code: leat.CodeNotFound, Err: fmt.Errorf("%s %q does not exist; declare a subscription of it (leat.Declare, "+
		"or leat.Run, which does) with ProvisionCreate (provision=create), or create it", what, name)}
}

// plan is what a subscription is at AWS.
type plan struct {
	sub        leat.Subscription
	arn, topic string // of the SNS topic; arn is known of one that exists under its own name
	url, queue string // of the queue, likewise
	fifo       bool   // of the queue
	ownTopic   bool   // Leat may create the topic, and what it has
	ownQueue   bool   // likewise
}

// planID tells plans apart: a queue may be asked for by several groups.
type planID struct {
	Group

	queue string
}

func (p *plan) id() planID { return planID{Group{p.sub.Topic, p.sub.Group}, p.queue} }

// planOf returns the plan of a subscription, or why it cannot be held.
func (b *Broker) planOf(sub leat.Subscription) (*plan, error) {
	if sub.Broadcast {
		return nil, errBroadcast
	}
	p := &plan{sub: sub, url: b.o.Queues[Group{sub.Topic, sub.Group}]}
	if id := b.o.Topics[sub.Topic]; b.o.Mode == ModeSQS && p.url == "" {
		p.url, p.queue, p.fifo = id, b.topicName(sub.Topic), !b.o.Standard
	} else if b.o.Mode != ModeSQS {
		p.arn, p.topic, p.ownTopic = id, b.topicName(sub.Topic), id == ""
		p.fifo = !sub.Unordered && !b.o.Standard
		p.queue = name(mostQueueName, p.fifo, sub.Topic, sub.Group)
	}
	if p.ownQueue = p.url == ""; !p.ownQueue {
		p.queue, p.fifo = nameOf(p.url), kindOf(p.url)
	}
	if id := p.arn; id != "" {
		p.topic = nameOf(id)
	}
	switch {
	case sub.Group == "":
		return p, nil
	case b.o.Mode == ModePublish:
		return nil, fault.Errorf("", "", leat.CodeUnsupported,
			"ModePublish (mode=publish) has no queues, so that nothing can be consumed; use ModeSNS (mode=sns)")
	case !sub.Unordered && (!p.fifo || p.topic != "" && !kindOf(p.topic)):
		return nil, fault.Errorf("", "", leat.CodeUnsupported, "the queue %q, or its topic, is a standard one, which keeps no order by "+
			"key; set Subscription.Unordered, or use FIFO topics and queues", p.queue)
	}
	return p, nil
}

// Declare implements [leat.Declarer]: it creates, checks or ignores the topic and the queue of each
// subscription, the queue's policy, and its subscription to the topic, as [Options].Provision says.
// The error reports every difference: [leat.CodeNotFound] for what does not exist,
// [leat.CodeConflict] for what exists in another form, and [leat.CodeUnsupported] for what cannot
// be held.
func (b *Broker) Declare(ctx context.Context, subs ...leat.Subscription) error {
	if err := b.life.RefuseDeclare(ctx, subs...); err != nil {
		return err
	}
	if b.o.Provision == ProvisionOff {
		return nil
	}
	var errs []error
	for _, sub := range subs {
		p, err := b.planOf(sub)
		if err == nil {
			_, err = b.build(ctx, p)
		}
		if err != nil {
			errs = append(errs, fail(ctx, "declare", sub.Topic, err))
		}
	}
	return fault.Join(errs...)
}

// provision does for a subscription what the Provision option says, and returns its queue. The
// error is one of the SDK, or an [*leat.Error].
func (b *Broker) provision(ctx context.Context, sub leat.Subscription) (queue, error) {
	p, err := b.planOf(sub)
	if err != nil {
		return queue{}, err
	}
	_, declared := b.declared.Load(p.id())
	if b.o.Provision == ProvisionOff || declared {
		ctx, cancel := b.bounded(ctx)
		defer cancel()
		q, _, err := b.look(ctx, p)
		if err == nil || !declared || codeOf(err) != leat.CodeNotFound {
			return q, err
		}
	}
	return b.build(ctx, p)
}

// build makes sure that what a plan says exists, as far as Options.Provision says.
func (b *Broker) build(ctx context.Context, p *plan) (q queue, err error) {
	ctx, cancel := b.bounded(ctx)
	defer cancel()
	d := &differences{verify: b.o.Provision == ProvisionVerify}
	if b.o.Mode != ModeSQS {
		if err := b.buildTopic(ctx, p, d); err != nil {
			return q, err
		}
	}
	if p.sub.Group != "" || b.o.Mode == ModeSQS {
		var attributes map[string]string
		if q, attributes, err = b.buildQueue(ctx, p, d); err == nil && b.o.Mode != ModeSQS && q.url != "" && p.arn != "" {
			err = b.connect(ctx, p, q, attributes, d)
		}
	}
	if err == nil {
		err = d.err()
	}
	if err == nil && q.url != "" {
		b.declared.LoadOrStore(p.id(), struct{}{})
	}
	return q, err
}

// buildTopic finds or creates the SNS topic, and sets its ARN where there is one.
func (b *Broker) buildTopic(ctx context.Context, p *plan, d *differences) error {
	if p.arn == "" {
		begin, err := b.arns(ctx)
		if err != nil {
			return at("the SNS topic", p.topic, err)
		}
		if begin != "" {
			p.arn = begin + p.topic
		}
	}
	if p.arn != "" {
		out, err := b.sns.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &p.arn})
		if err == nil {
			d.topic(p, out.Attributes, &b.o)
			return nil
		}
		if codeOf(err) != leat.CodeNotFound {
			return at("the SNS topic", p.topic, err)
		}
		p.arn = ""
	}
	if !p.ownTopic || d.verify {
		d.missing("the SNS topic", p.topic)
		return nil
	}
	out, err := b.sns.CreateTopic(ctx, &sns.CreateTopicInput{Name: &p.topic, Attributes: b.o.topicAttributes()})
	if err != nil {
		return at("the SNS topic", p.topic, err)
	}
	p.arn = *out.TopicArn
	b.learn(p.arn)
	return nil
}

// topicAttributes are those of a topic that Leat creates.
func (o *Options) topicAttributes() map[string]string {
	a := map[string]string{}
	if !o.Standard {
		a["FifoTopic"], a["FifoThroughputScope"] = "true", "MessageGroup"
	}
	if o.MaxMessageBytes > snsMessageBytes {
		a["MaximumMessageSize"] = strconv.Itoa(o.MaxMessageBytes)
	}
	if o.KMSKey != "" {
		a["KmsMasterKeyId"] = o.KMSKey
	}
	return a
}

// queueAttributes are those of a queue that Leat creates.
func (o *Options) queueAttributes(fifo bool) map[string]string {
	a := map[string]string{
		"VisibilityTimeout":      strconv.Itoa(int(o.Visibility / time.Second)),
		"MessageRetentionPeriod": strconv.Itoa(int(o.Retention / time.Second)),
	}
	if fifo {
		a["FifoQueue"], a["DeduplicationScope"], a["FifoThroughputLimit"] = "true", "messageGroup", "perMessageGroupId"
	}
	if o.KMSKey != "" {
		a["KmsMasterKeyId"] = o.KMSKey
	}
	return a
}

// look returns the queue of a plan and its attributes.
func (b *Broker) look(ctx context.Context, p *plan) (q queue, attributes map[string]string, err error) {
	q = queue{url: p.url, name: p.queue, fifo: p.fifo}
	if q.url == "" {
		if q.url, err = b.queueURL(ctx, p.queue); err != nil {
			return queue{}, nil, err
		}
	}
	out, err := b.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		return queue{}, nil, at("the queue", p.queue, err)
	}
	var redrive struct {
		Most json.RawMessage `json:"maxReceiveCount"` // a number, or a text with one
	}
	if policy := out.Attributes["RedrivePolicy"]; policy != "" && json.Unmarshal([]byte(policy), &redrive) == nil {
		q.redrives, _ = strconv.Atoi(strings.Trim(string(redrive.Most), `"`))
	}
	return q, out.Attributes, nil
}

// buildQueue finds or creates the queue. It has no URL where it does not exist and is not created.
func (b *Broker) buildQueue(ctx context.Context, p *plan, d *differences) (queue, map[string]string, error) {
	q, attributes, err := b.look(ctx, p)
	if codeOf(err) == leat.CodeNotFound && err != nil {
		if !p.ownQueue || d.verify {
			d.missing("the queue", p.queue)
			return queue{}, nil, nil
		}
		if err := b.createQueue(ctx, p); err != nil {
			return queue{}, nil, err
		}
		q, attributes, err = b.look(ctx, p)
	}
	if err != nil {
		return queue{}, nil, err
	}
	d.queue(p, attributes, &b.o)
	if p.ownQueue {
		err = b.tag(ctx, p, q.url, d)
	}
	return q, attributes, err
}

// tags say whose the queue of a plan is.
func (p *plan) tags() map[string]string {
	tags := map[string]string{topicTag: p.sub.Topic}
	if p.sub.Group != "" {
		tags[groupTag] = p.sub.Group
	}
	return tags
}

// createQueue creates the queue with its policy, because a policy that is set later takes up to a
// minute to count.
func (b *Broker) createQueue(ctx context.Context, p *plan) error {
	attributes := b.o.queueAttributes(p.fifo)
	if begin := b.account.Load(); begin != nil && p.arn != "" {
		arn := strings.Replace(*begin, ":sns:", ":sqs:", 1) + p.queue
		policy, _, _, err := allow("", arn, p.arn)
		if err != nil {
			return err
		}
		attributes["Policy"] = policy
	}
	_, err := b.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &p.queue, Attributes: attributes, Tags: p.tags()})
	if err != nil && shortCode(errorCode(err)) != "QueueNameExists" { // then somebody else was faster
		return at("the queue", p.queue, err)
	}
	return nil
}

// tag compares the tags of a queue with whose it should be, and sets those that it does not have.
func (b *Broker) tag(ctx context.Context, p *plan, url string, d *differences) error {
	out, err := b.sqs.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		return at("the queue", p.queue, err)
	}
	absent := map[string]string{}
	for name, want := range p.tags() {
		switch is, ok := out.Tags[name]; {
		case !ok:
			absent[name] = want
		case is == want:
		case name == groupTag && p.topic == "":
			d.cannotf("the queue %q is that of the group %q; in ModeSQS (mode=sqs) a topic has one group, use ModeSNS for more", p.queue, is)
		default:
			d.addf("the queue %q has the tag %s %q and not %q; name one of the two queues by Options.Queues", p.queue, name, is, want)
		}
	}
	if len(absent) == 0 || d.verify || len(d.found) > 0 {
		return nil
	}
	if _, err := b.sqs.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &url, Tags: absent}); err != nil {
		return at("the queue", p.queue, err)
	}
	return nil
}
