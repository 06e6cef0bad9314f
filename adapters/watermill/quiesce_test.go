package watermill_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQuiesce: a quiet stream nacks what is given back only when its subscription has ended, so
// that it does not come to the same channel once more. Acks go through at once.
func TestQuiesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		messages := make(chan *message.Message, 3)
		var subscribed context.Context
		sub := fakeSubscriber{func(ctx context.Context, _ string) (<-chan *message.Message, error) {
			subscribed = ctx //nolint:fatcontext // not in a loop: the test asks when it ends
			context.AfterFunc(ctx, func() { close(messages) })
			return messages, nil
		}}
		b, err := watermill.New(&fakePublisher{}, sub, nil)
		require.NoError(t, err)
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: "group", Unordered: true})
		require.NoError(t, err)
		sent := make([]*message.Message, 3)
		for i, id := range []string{"acked", "given back", "unsettled"} {
			sent[i] = message.NewMessage(id, []byte(id))
			messages <- sent[i]
		}
		var into [3]leat.Delivery
		for got := 0; got < len(into); { // a Receive takes what is there
			n, err := s.Receive(t.Context(), into[got:])
			require.NoError(t, err)
			got += n
		}
		s.(leat.Quiescer).Quiesce()
		s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
		s.Settle(&into[1], leat.Settlement{Action: leat.GiveBack})
		s.Settle(&into[1], leat.Settlement{Action: leat.Ack}) // it is settled already
		synctest.Wait()
		assert.True(t, ended(sent[0].Acked()), "acks go on")
		assert.False(t, ended(sent[1].Nacked()), "it would come to this channel again")
		assert.NoError(t, subscribed.Err())
		nacked := make(chan bool, 1)
		go func() {
			<-sent[1].Nacked()
			nacked <- subscribed.Err() != nil
		}()
		require.NoError(t, s.Close(t.Context()))
		assert.True(t, <-nacked, "it was nacked before the subscription ended")
		assert.True(t, ended(sent[2].Nacked()))
		require.NoError(t, b.Close())
	})
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
