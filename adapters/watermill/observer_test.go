package watermill_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kinds is an Observer that remembers what it saw.
type kinds struct {
	mu  sync.Mutex
	all []leat.ObservationKind
}

func (k *kinds) Observe(o leat.Observation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, o.Kind)
}

// TestObserver: the Publisher and the Subscriber show what they do.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker, seen := memory.New(nil), &kinds{}
		pub := watermill.NewPublisher(broker, &watermill.PublisherOptions{Observer: seen})
		sub := watermill.NewSubscriber(broker, &watermill.SubscriberOptions{Group: "g", Observer: seen})
		messages, err := sub.Subscribe(t.Context(), "topic")
		require.NoError(t, err)
		require.NoError(t, pub.Publish("topic", message.NewMessage("1", []byte("x"))))
		(<-messages).Ack()
		synctest.Wait()
		require.NoError(t, sub.Close())
		assert.ElementsMatch(t, []leat.ObservationKind{leat.ObservedPublish, leat.ObservedAttempt, leat.ObservedOutcome}, seen.all)
		require.NoError(t, broker.Close())
		refused := watermill.NewSubscriber(memory.New(nil), &watermill.SubscriberOptions{Group: "g", Observer: (*kinds)(nil)})
		_, err = refused.Subscribe(t.Context(), "topic")
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	})
}
