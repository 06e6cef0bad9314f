package watermill_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/require"
)

// BenchmarkStream receives and acks messages that wait in the channel of a Subscriber.
func BenchmarkStream(b *testing.B) {
	feed := make(chan *message.Message, 1_000)
	sub := fakeSubscriber{func(ctx context.Context, _ string) (<-chan *message.Message, error) {
		context.AfterFunc(ctx, func() { close(feed) })
		return feed, nil
	}}
	broker, err := watermill.New(&fakePublisher{}, sub, nil)
	require.NoError(b, err)
	s, err := broker.Subscribe(b.Context(), leat.Subscription{Topic: "topic", Group: "g", Unordered: true})
	require.NoError(b, err)
	into := make([]leat.Delivery, 100)
	b.ReportAllocs()
	for left := b.N; left > 0; {
		for range min(left, cap(feed)) {
			feed <- message.NewMessage("1", nil)
		}
		for fed := len(feed); fed > 0; {
			n, err := s.Receive(b.Context(), into)
			if err != nil {
				b.Fatal(err)
			}
			for i := range into[:n] {
				s.Settle(&into[i], leat.Settlement{Action: leat.Ack})
			}
			fed, left = fed-n, left-n
		}
	}
	require.NoError(b, broker.Close())
}
