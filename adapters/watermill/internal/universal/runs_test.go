package universal_test

import (
	"os"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/leatgo/leat"
	leatmill "github.com/leatgo/leat/adapters/watermill"
)

// broker is a message broker that the suite runs on.
type broker struct {
	// name stands in the table.
	name string
	// open returns an instance of the adapter of its own. It is closed by the Publisher or the
	// Subscriber that it is for.
	open func(t *testing.T) leat.Broker
	// features are the flags of the suite. What is not said there is false: no ExactlyOnceDelivery,
	// since Leat delivers at least once; no RequireSingleInstance, since each Publisher and
	// Subscriber has an instance of the adapter; no ContextPreserved, since a broker carries no
	// context.
	features tests.Features
	// noHistory is why a new group does not get what was published before it; "" where it does.
	noHistory string
	// noStress is why the stress variant of the suite is not run; "" where it is.
	noStress string
}

// flags are the same on every broker of Leat with order and durable groups.
func flags() tests.Features {
	return tests.Features{ConsumerGroups: true, GuaranteedOrder: true, Persistent: true}
}

// byPayload is the key: the suite's messages have none, and those that must keep their order have
// the same payload.
func byPayload(_ string, m *message.Message) string { return string(m.Payload) }

// pubSub returns a Publisher and a Subscriber of a group.
func (b broker) pubSub(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	return leatmill.NewPublisher(b.open(t), &leatmill.PublisherOptions{Codec: leatmill.Codec{Key: byPayload}, CloseBroker: true}),
		leatmill.NewSubscriber(b.open(t), &leatmill.SubscriberOptions{Group: group, CloseBroker: true})
}

// run runs the whole suite, and once more the test that wants each Subscriber to see all that was
// published before: Leat's Subscribers of one group share messages, so those are of a group each.
func (b broker) run(t *testing.T, suite func(*testing.T, tests.Features, tests.PubSubConstructor, tests.ConsumerGroupPubSubConstructor)) {
	t.Helper()
	suite(t, b.features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		return b.pubSub(t, "universal")
	}, b.pubSub)
}

// history runs TestNewSubscriberReceivesOldMessages with a group for each Subscriber.
func (b broker) history(t *testing.T) {
	t.Helper()
	if b.noHistory != "" {
		t.Skip(b.noHistory)
	}
	features := b.features
	features.NewSubscriberReceivesOldMessages = true
	tests.TestNewSubscriberReceivesOldMessages(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			return b.pubSub(t, "group-"+watermill.NewUUID())
		})
}

// stress reports whether the stress variant of the suite was asked for: ten copies of the suite at
// a time, or STRESS_TEST_COUNT.
func stress() bool { return os.Getenv("LEAT_STRESS") != "" }

// TestUniversal is the suite on each broker. TestReconnect, which needs a broker of its own and
// races with itself, is TestReconnects.
func TestUniversal(t *testing.T) {
	for _, b := range brokers() {
		t.Run(b.name, func(t *testing.T) {
			t.Run("suite", func(t *testing.T) { b.run(t, tests.TestPubSub) })
			t.Run("TestNewSubscriberReceivesOldMessages", b.history)
		})
	}
}

func TestStress(t *testing.T) {
	if !stress() {
		t.Skip("set LEAT_STRESS, or run make stress")
	}
	for _, b := range brokers() {
		t.Run(b.name, func(t *testing.T) {
			if b.noStress != "" {
				t.Skip(b.noStress)
			}
			b.run(t, tests.TestPubSubStressTest)
		})
	}
}
