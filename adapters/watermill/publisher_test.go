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

// A group of messages that fails does not keep the groups with other contexts from being published, and the error names what failed alone.
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
