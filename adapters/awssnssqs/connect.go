package awssnssqs

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	"github.com/leatgo/leat"
)

const (
	rawDelivery = "RawMessageDelivery"
	// mostPages bounds the search for a subscription. A page has 100.
	mostPages = 50
)

// errorCode returns the error code of an answer, or "".
func errorCode(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// connect lets the topic send to the queue and subscribes it, or checks both where the queue is
// used as it is.
func (b *Broker) connect(ctx context.Context, p *plan, q queue, attributes map[string]string, d *differences) error {
	if len(d.found) > 0 && !d.verify {
		return nil // it may be somebody else's queue
	}
	arn, only := attributes["QueueArn"], d.verify || !p.ownQueue
	policy, changed, denied, err := allow(attributes["Policy"], arn, p.arn)
	if err != nil {
		return &leat.Error{Code: leat.CodeConflict, Err: err}
	}
	if denied {
		d.addf("the policy of the queue %q denies %s the action %s; remove that statement", p.queue, snsPrincipal, sendAction)
	}
	switch {
	case changed && only:
		d.addf("the policy of the queue %q does not allow %s the action %s for the topic %q", p.queue, snsPrincipal, sendAction, p.topic)
	case changed:
		_, err := b.sqs.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
			QueueUrl: &q.url, Attributes: map[string]string{"Policy": policy},
		})
		if err != nil {
			return at("the queue", p.queue, err)
		}
	}
	subscription, err := b.subscription(ctx, p, arn, only)
	if err != nil || subscription == "" {
		if err == nil {
			d.missing("the subscription to the SNS topic "+p.topic+" of the queue", p.queue)
		}
		return err
	}
	return b.checkSubscription(ctx, p, subscription, d)
}

// subscription returns the ARN of the queue's subscription, "" where there is none and only what
// exists counts. Otherwise it subscribes the queue, which changes nothing where it is subscribed.
func (b *Broker) subscription(ctx context.Context, p *plan, arn string, only bool) (string, error) {
	if !only {
		out, err := b.sns.Subscribe(ctx, &sns.SubscribeInput{
			TopicArn: &p.arn, Protocol: aws.String("sqs"), Endpoint: &arn, ReturnSubscriptionArn: true,
			Attributes: map[string]string{rawDelivery: "true"},
		})
		if err == nil {
			return *out.SubscriptionArn, nil
		}
		if shortCode(errorCode(err)) != "InvalidParameter" { // which it is where it exists with other attributes
			return "", at("the subscription to the SNS topic", p.topic, err)
		}
		if found, e := b.find(ctx, p, arn); e != nil || found != "" {
			return found, e
		}
		return "", at("the subscription to the SNS topic", p.topic, err)
	}
	return b.find(ctx, p, arn)
}

// find looks for the subscription of a queue.
func (b *Broker) find(ctx context.Context, p *plan, arn string) (string, error) {
	in := &sns.ListSubscriptionsByTopicInput{TopicArn: &p.arn}
	for range mostPages {
		page, err := b.sns.ListSubscriptionsByTopic(ctx, in)
		if err != nil {
			return "", at("the SNS topic", p.topic, err)
		}
		for _, s := range page.Subscriptions {
			if aws.ToString(s.Endpoint) == arn && aws.ToString(s.Protocol) == "sqs" {
				return aws.ToString(s.SubscriptionArn), nil
			}
		}
		if in.NextToken = page.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	return "", nil
}

func (b *Broker) checkSubscription(ctx context.Context, p *plan, arn string, d *differences) error {
	out, err := b.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn})
	if err != nil {
		return at("the subscription to the SNS topic", p.topic, err)
	}
	what := "the subscription of the queue \"" + p.queue + "\" to the SNS topic \"" + p.topic + "\""
	d.compare(rawDelivery+" of "+what, out.Attributes[rawDelivery], "true")
	if out.Attributes["PendingConfirmation"] == "true" {
		d.addf("%s waits for its confirmation; let the owner of the queue confirm it", what)
	}
	return nil
}
