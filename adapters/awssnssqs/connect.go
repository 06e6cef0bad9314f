package awssnssqs

import (
	"context"
	"errors"
	"fmt"

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
	look := b.subscribe
	if only {
		look = b.find
	}
	subscription, err := look(ctx, p, arn)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the subscription of the queue %q to the SNS topic %q", p.queue, p.topic)
	if subscription == "" {
		d.addf("%s does not exist", what)
		return nil
	}
	out, err := b.sns.GetSubscriptionAttributes(ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &subscription})
	if err != nil {
		return at("the subscription to the SNS topic", p.topic, err)
	}
	d.compare(rawDelivery+" of "+what, out.Attributes[rawDelivery], "true")
	return nil
}

// subscribe subscribes the queue. That changes nothing where it is subscribed, and AWS refuses it
// where the subscription has other attributes.
func (b *Broker) subscribe(ctx context.Context, p *plan, arn string) (string, error) {
	out, err := b.sns.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: &p.arn, Protocol: aws.String("sqs"), Endpoint: &arn, ReturnSubscriptionArn: true,
		Attributes: map[string]string{rawDelivery: "true"},
	})
	switch {
	case err == nil:
		return *out.SubscriptionArn, nil
	case shortCode(errorCode(err)) == "InvalidParameter":
		if found, e := b.find(ctx, p, arn); e == nil && found != "" {
			return found, nil
		}
	}
	return "", at("the subscription to the SNS topic", p.topic, err)
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
