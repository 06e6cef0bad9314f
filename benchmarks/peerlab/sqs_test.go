package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/brokertest"
)

// The known bugs of watermill-aws/sqs v1.0.1, on an ElasticMQ that is shared. Each test says what
// Watermill does, so that this file tells when that changes, and that Leat does not.

// queueLab is one queue, standard, that both libraries use as their default settings want it.
type queueLab struct {
	config aws.Config
	client *sqs.Client
	name   string
	url    string

	mapping foreign.Mapping // of Leat; plain messages by default
}

func newQueueLab(t *testing.T) *queueLab {
	t.Helper()
	return newQueueLabWith(t, nil)
}

// newQueueLabWith makes a queue with attributes.
func newQueueLabWith(t *testing.T, attributes map[string]string) *queueLab {
	t.Helper()
	endpoint := brokertest.ElasticMQ(t)
	q := &queueLab{name: "peerlab-" + strings.ReplaceAll(brokertest.Name(t), ".", "-"), config: aws.Config{
		Region: brokertest.AWSRegion, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}}
	q.name = q.name[max(0, len(q.name)-60):]
	q.client = sqs.NewFromConfig(q.config)
	made, err := q.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &q.name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	q.url = *made.QueueUrl
	return q
}

// send sends a plain message, with attributes of these types and the value "v".
func (q *queueLab) send(t *testing.T, body string, attributes ...string) {
	t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	for _, kind := range attributes {
		in.MessageAttributes[strings.ToLower(kind)] = types.MessageAttributeValue{DataType: aws.String(kind), StringValue: aws.String("v")}
	}
	if _, err := q.client.SendMessage(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (q *queueLab) watermill(t *testing.T) *wmsqs.Subscriber {
	t.Helper()
	s, err := wmsqs.NewSubscriber(wmsqs.SubscriberConfig{AWSConfig: q.config}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leat returns an instance of the adapter that makes events of plain messages.
func (q *queueLab) leat(t *testing.T) *awssnssqs.Broker {
	t.Helper()
	if q.mapping == nil {
		q.mapping = foreign.Plain(nil)
	}
	b, err := awssnssqs.New(&awssnssqs.Options{
		Mode: awssnssqs.ModeSQS, Standard: true, Endpoint: *q.config.BaseEndpoint, Config: &q.config, Provision: awssnssqs.ProvisionOff,
		Topics: map[string]string{q.name: q.url}, Mapping: q.mapping, Wait: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (q *queueLab) subscription() leat.Subscription {
	return leat.Subscription{Topic: q.name, Group: "peerlab", Unordered: true}
}

// first returns the first event that a Consumer of Leat handles, and how long that took.
func (q *queueLab) first(t *testing.T, h func(leat.Event) error) (leat.Event, time.Duration) {
	t.Helper()
	b := q.leat(t)
	began := time.Now()
	e := brokertest.Handle(t.Context(), t, b, q.subscription(), 1, h)[0]
	took := time.Since(began)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return e, took
}

// within reports whether f returns in time.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// TestSQSCloseThatNeverEnds closes while a message is fetched and nobody reads it.
func TestSQSCloseThatNeverEnds(t *testing.T) {
	t.Parallel()
	q := newQueueLab(t)
	q.send(t, "one")
	s := q.watermill(t)
	ctx, stop := context.WithCancel(t.Context())
	messages, err := s.Subscribe(ctx, q.name)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second) // until it has fetched the message
	stop()
	if within(5*time.Second, func() { _ = s.Close() }) {
		t.Error("Watermill's Close ends; README.md says that it does not")
	}
	<-messages // sets its goroutine free

	b := q.leat(t)
	stream, err := b.Subscribe(t.Context(), q.subscription())
	if err != nil {
		t.Fatal(err)
	}
	q.send(t, "two")
	brokertest.Hold(t, stream, 1)
	q.send(t, "three")
	if !within(5*time.Second, func() { err = errors.Join(stream.Close(t.Context()), b.Close()) }) || err != nil {
		t.Error("Leat's Close does not end, or fails:", err)
	}
}

// TestSQSCancelledPollsThatSwallowMessages stops a consumer while its poll waits, sends a message,
// and starts another consumer.
func TestSQSCancelledPollsThatSwallowMessages(t *testing.T) {
	t.Parallel()
	q := newQueueLab(t)
	s := q.watermill(t)
	if _, err := s.Subscribe(t.Context(), q.name); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until it waits for messages
	_ = s.Close()
	q.send(t, "one")
	s = q.watermill(t)
	messages, err := s.Subscribe(t.Context(), q.name)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-messages:
		m.Ack()
		t.Error("Watermill's next consumer gets the message at once; README.md says that it waits for the visibility timeout")
	case <-time.After(5 * time.Second):
	}
	_ = s.Close()

	q = newQueueLab(t)
	b := q.leat(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		h := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
		ended <- leat.Run(ctx, leat.NewConsumer(b, q.subscription(), h, nil))
	}()
	time.Sleep(time.Second) // until it waits for messages
	stop()
	if err := errors.Join(<-ended, b.Close()); err != nil {
		t.Error(err)
	}
	q.send(t, "one")
	if _, took := q.first(t, nil); took > 3*time.Second {
		t.Errorf("Leat's next consumer gets the message after %v", took)
	}
}

// TestSQSAttributesThatAreDropped sends attributes of types of one's own, which SQS allows.
func TestSQSAttributesThatAreDropped(t *testing.T) {
	t.Parallel()
	q := newQueueLab(t)
	q.send(t, "one", "String", "String.mail")
	s := q.watermill(t)
	messages, err := s.Subscribe(t.Context(), q.name)
	if err != nil {
		t.Fatal(err)
	}
	var m *message.Message
	select {
	case m = <-messages:
		m.Ack()
	case <-time.After(brokertest.Patience):
		t.Fatal("no message comes")
	}
	_ = s.Close()
	if m.Metadata["string"] != "v" || m.Metadata["string.mail"] != "" {
		t.Errorf("Watermill has %v; README.md says that it drops an attribute", m.Metadata)
	}

	q = newQueueLab(t)
	q.send(t, "one", "String", "String.mail")
	seen := map[string]string{}
	q.mapping = func(m foreign.Message) (leat.Event, error) {
		for _, h := range m.Headers {
			seen[h.Name] = string(h.Value)
		}
		return foreign.Plain(nil)(m)
	}
	q.first(t, nil)
	if seen["string"] != "v" || seen["string.mail"] != "v" {
		t.Errorf("Leat has %v", seen)
	}
}

// TestSQSFailedMessagesThatWait fails a message once.
func TestSQSFailedMessagesThatWait(t *testing.T) {
	t.Parallel()
	q := newQueueLab(t)
	q.send(t, "one")
	s := q.watermill(t)
	messages, err := s.Subscribe(t.Context(), q.name)
	if err != nil {
		t.Fatal(err)
	}
	(<-messages).Nack()
	select {
	case m := <-messages:
		m.Ack()
		t.Error("Watermill delivers the message again at once; README.md says that it waits for the visibility timeout")
	case <-time.After(5 * time.Second):
	}
	_ = s.Close()

	q = newQueueLab(t)
	q.send(t, "one")
	attempts := 0
	if _, took := q.first(t, func(leat.Event) error {
		if attempts++; attempts == 1 {
			return errors.New("once")
		}
		return nil
	}); took > 5*time.Second {
		t.Errorf("Leat tries the event again after %v", took)
	}
	if attempts != 2 {
		t.Errorf("%d attempts", attempts)
	}
}

// TestSQSHotRedelivery fails a message again and again, on a queue with a visibility timeout of 0.
func TestSQSHotRedelivery(t *testing.T) {
	t.Parallel()
	const lasts = 3 * time.Second
	again := map[string]string{string(types.QueueAttributeNameVisibilityTimeout): "0"}
	q := newQueueLabWith(t, again)
	q.send(t, "one")
	s := q.watermill(t)
	messages, err := s.Subscribe(t.Context(), q.name)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for over := time.After(lasts); over != nil; {
		select {
		case m := <-messages:
			seen++
			m.Nack()
		case <-over:
			over = nil
		}
	}
	if seen < 20 {
		t.Errorf("Watermill delivers the message %d times; README.md says that it does so as fast as the queue answers", seen)
	}
	go func() {
		for range messages { // sets its goroutine free
		}
	}()
	_ = s.Close()

	q = newQueueLabWith(t, again)
	q.send(t, "one")
	b := q.leat(t)
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	var attempts atomic.Int32
	err = leat.Run(ctx, leat.NewConsumer(b, q.subscription(), leat.HandlerFunc(func(context.Context, leat.Event) error {
		attempts.Add(1)
		return errors.New("always")
	}), nil))
	if err = errors.Join(err, b.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("in %v Watermill delivers the message %d times, Leat tries it %d times", lasts, seen, attempts.Load())
	if n := attempts.Load(); n < 1 || n > 10 {
		t.Errorf("Leat tries the event %d times", n)
	}
}
