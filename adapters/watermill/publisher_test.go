package watermill_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A group of messages that fails does not keep the groups with other contexts from being published,
// and the error names what failed alone.
func TestAFailingContextDoesNotStopTheOthers(t *testing.T) {
	broker := memory.New(nil)
	sub := leat.Subscription{Topic: "orders", Group: "g"}
	require.NoError(t, broker.Declare(t.Context(), sub))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var messages []*message.Message
	for i, ctx := range []context.Context{t.Context(), ended, ended, context.WithValue(t.Context(), ctxKey{}, 1), ended} {
		m := message.NewMessage(string(rune('a'+i)), []byte("x"))
		m.SetContext(ctx)
		messages = append(messages, m)
	}
	pub := watermill.NewPublisher(broker, &watermill.PublisherOptions{CloseBroker: true})
	err := pub.Publish("orders", messages...)
	var failed *leat.PublishError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 5, failed.Total)
	assert.Len(t, failed.Failures, 3)
	for _, f := range failed.Failures {
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(f.Err))
	}
	s, err := broker.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	into := make([]leat.Delivery, 5)
	n, err := s.Receive(t.Context(), into)
	require.NoError(t, err)
	assert.Equal(t, 2, n, "what is not named is stored")
	require.NoError(t, pub.Close())
}

type noPubSub struct {
	message.Publisher
	message.Subscriber
}

func (*noPubSub) Close() error { return nil }

// What is nil is refused before anything is published or subscribed, also in an interface.
func TestNilsAreRefused(t *testing.T) {
	invalid := func(err error) {
		t.Helper()
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
	}
	none := (*noPubSub)(nil)
	_, err := watermill.New(none, none, nil)
	invalid(err)
	_, err = watermill.New(&noPubSub{}, none, nil)
	invalid(err)
	b, err := watermill.New(&noPubSub{}, nil, &watermill.Options{NewSubscriber: func(string) (message.Subscriber, error) { return none, nil }})
	require.NoError(t, err)
	sub := leat.Subscription{Topic: "t", Group: "g", Unordered: true}
	invalid(b.Declare(t.Context(), sub))
	member, err := watermill.NewGroups(none).Subscriber("g")
	require.NoError(t, err)
	_, err = member.Subscribe(t.Context(), "t")
	invalid(err)
	invalid(watermill.NewPublisher((*watermill.Broker)(nil), nil).Publish("t", message.NewMessage("1", nil)))
	_, err = watermill.NewSubscriber((*watermill.Broker)(nil), &watermill.SubscriberOptions{Group: "g"}).Subscribe(t.Context(), "t")
	invalid(err)
	handler := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	invalid(leat.Run(t.Context(), leat.NewConsumer(memory.New(nil), sub, handler,
		&leat.ConsumerOptions{Middleware: []leat.Middleware{watermill.Middleware(nil, watermill.Codec{})}})))
}

// TestWrongPublisherOptions: NewPublisher has no error, so Publish has it.
func TestWrongPublisherOptions(t *testing.T) {
	p := watermill.NewPublisher(memory.New(nil), &watermill.PublisherOptions{CloseTimeout: -1})
	err := p.Publish("t", message.NewMessage("1", nil))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	require.ErrorContains(t, err, "PublisherOptions.CloseTimeout is out of its range")
}
