package googlecloud

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	wm "github.com/ThreeDotsLabs/watermill"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
)

// initializeTimeout bounds the calls of SubscribeInitialize, which has no context.
const initializeTimeout = 10 * time.Second

// subscriber is the Subscriber of a group. Each subscription has a Subscriber of
// watermill-googlecloud of its own, because one of these receives only once at a time from a
// subscription of Pub/Sub, and repeats what fails without an end and tells only its log.
type subscriber struct {
	o      *Options
	config wmgoogle.SubscriberConfig
	client *pubsub.Client  // looks at subscriptions
	ctx    context.Context //nolint:containedctx // it ends with Close
	cancel context.CancelFunc

	mu   sync.Mutex // cancel is called under it
	open sync.WaitGroup
}

var _ message.SubscribeInitializer = (*subscriber)(nil)

func newSubscriber(o *Options, group string) (*subscriber, error) {
	s := &subscriber{o: o}
	_, s.config = o.configs(group)
	var err error
	s.client, err = pubsub.NewClientWithConfig(context.Background(), o.Project, s.config.ClientConfig, s.config.ClientOptions...)
	if err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeUnauthenticated, Err: err}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

var errClosed error = &leat.Error{Op: "subscribe", Code: leat.CodeClosed, Err: errors.New("the Subscriber is closed")}

// SubscribeInitialize creates the topic and the subscription of the group, where they do not exist.
func (s *subscriber) SubscribeInitialize(topic string) error {
	inner, err := wmgoogle.NewSubscriber(s.config, s.o.log())
	if err != nil {
		return failed("declare", topic, err)
	}
	err = inner.SubscribeInitialize(topic)
	if err == nil {
		ctx, cancel := context.WithTimeout(s.ctx, initializeTimeout)
		defer cancel()
		err = s.verify(ctx, topic)
	}
	return failed("declare", topic, errors.Join(err, inner.Close()))
}

// Subscribe returns a channel that is closed when ctx ends, and when Pub/Sub refuses to deliver
// more.
func (s *subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	inner, err := wmgoogle.NewSubscriber(s.config, watch{LoggerAdapter: s.o.log(), failed: cancel})
	if err != nil {
		cancel()
		return nil, failed("subscribe", topic, err)
	}
	messages, err := inner.Subscribe(ctx, topic)
	if err == nil {
		err = s.verify(ctx, topic)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		err = errClosed
	}
	if err != nil {
		cancel()
	}
	s.open.Go(func() {
		<-ctx.Done()
		stop()
		_ = inner.Close() // waits until the channel is closed
	})
	return messages, failed("subscribe", topic, err)
}

// verify looks whether the subscription of a topic holds what was promised. watermill-googlecloud
// looks at its topic alone.
func (s *subscriber) verify(ctx context.Context, topic string) error {
	name := s.config.GenerateSubscriptionName(topic)
	is, err := s.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{
		Subscription: "projects/" + s.o.Project + "/subscriptions/" + name,
	})
	switch {
	case err != nil:
		return err
	case is.GetDetached():
		err = fmt.Errorf("the subscription %q is detached from its topic; delete it", name)
	case is.GetPushConfig().GetPushEndpoint() != "" || is.GetBigqueryConfig().GetTable() != "" || is.GetCloudStorageConfig().GetBucket() != "":
		err = fmt.Errorf("the subscription %q is not of the type pull; give the group another name by SubscriptionName", name)
	case !s.o.Unordered && !is.GetEnableMessageOrdering():
		err = fmt.Errorf("the subscription %q has no message ordering, which cannot be changed; set Unordered, or delete it", name)
	default:
		return nil
	}
	return &leat.Error{Code: leat.CodeConflict, Err: err}
}

// Close ends the subscriptions, whose messages go back.
func (s *subscriber) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.open.Wait()
	return s.client.Close()
}

// watch is the log of a Subscriber of watermill-googlecloud. That logs an error when Pub/Sub
// refuses to deliver more, and tells it nobody else.
type watch struct {
	wm.LoggerAdapter

	failed func()
}

// Error ends the subscription.
func (w watch) Error(text string, err error, fields wm.LogFields) {
	w.LoggerAdapter.Error(text, err, fields)
	w.failed()
}

// With keeps the watch.
func (w watch) With(fields wm.LogFields) wm.LoggerAdapter {
	return watch{LoggerAdapter: w.LoggerAdapter.With(fields), failed: w.failed}
}
