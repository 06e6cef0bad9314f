package kafka_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// killedMember lets a process take all partitions of a topic, and kills it.
func killedMember(t *testing.T, c processConfig) *kafka.Broker {
	t.Helper()
	b := liveBroker(t, c.options())
	var book ledger
	p := startProcess(t, c, &book)
	require.NoError(t, livePublish(t.Context(), b, c.Topic, liveEvents(t, 0, 20, 10)...))
	require.Eventually(t, func() bool { return book.distinct() >= 20 }, 2*livePatience, 10*time.Millisecond)
	p.kill()
	return b
}

// runConsumer runs a consumer that counts, until the end of the test.
func runConsumer(t *testing.T, b *kafka.Broker, sub leat.Subscription) (*leat.Consumer, *tally) {
	t.Helper()
	var book tally
	c := leat.NewConsumer(b, sub, leat.HandlerFunc(book.handle), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- leat.Run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return c, &book
}

func problems(c *leat.Consumer) error { return errors.Join(c.Health().Problems...) }

// TestHealthSaysThatAGoneMemberIsWaitedFor: a process that follows one that was killed gets nothing
// until the session of that is over. Health says so, and until when.
func TestHealthSaysThatAGoneMemberIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := brokertest.Kafka(t)
			topic := liveTopic(t, liveAdmin(t, addrs...), 4)
			c := processConfig{Addrs: addrs, Topic: topic, Group: liveName(t), Session: 12 * time.Second, Protocol: protocol}
			b := killedMember(t, c)
			at := time.Now()
			require.NoError(t, livePublish(t.Context(), b, c.Topic, liveEvents(t, 20, 40, 10)...))
			consumer, book := runConsumer(t, b, leat.Subscription{Topic: c.Topic, Group: c.Group})
			var err error
			require.Eventually(t, func() bool {
				err = problems(consumer)
				return err != nil && strings.Contains(err.Error(), "waiting for the group")
			}, livePatience, 10*time.Millisecond)
			require.Equal(t, leat.CodeUnavailable, leat.CodeOf(err))
			for _, part := range []string{"waiting for the group to assign partitions", "at most until 20", ", since 20", "InstanceID"} {
				require.ErrorContains(t, err, part)
			}
			t.Logf("after %v: %v", time.Since(at), err)
			limit := 2 * c.Session
			if protocol == kafka.ProtocolConsumer {
				limit = time.Minute // the broker's session timeout is 45 s
			}
			require.Eventually(t, func() bool { n, _ := book.counts(); return n >= 20 }, limit, 10*time.Millisecond)
			require.Eventually(t, func() bool { return consumer.Health().State == leat.Healthy }, livePatience, 10*time.Millisecond)
			t.Logf("all after %v", time.Since(at))
		})
	}
}

// TestStandbyIsHealthy: a member for which no partition is left has nothing to wait for.
func TestStandbyIsHealthy(t *testing.T) {
	t.Parallel()
	for name, protocol := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := brokertest.Kafka(t)
			o := liveOptions(addrs...)
			o.Protocol = protocol
			b := liveBroker(t, o)
			sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 1), Group: liveName(t)}
			first, one := runConsumer(t, b, sub)
			require.NoError(t, livePublish(t.Context(), b, sub.Topic, liveEvents(t, 0, 5, 5)...))
			one.await(t, 5)
			second, two := runConsumer(t, b, sub)
			require.Eventually(t, func() bool { return second.Health().State == leat.Healthy }, livePatience, 10*time.Millisecond)
			for end := time.Now().Add(8 * time.Second); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
				require.NoError(t, problems(first))
				require.NoError(t, problems(second))
			}
			n, _ := two.counts()
			assert.Zero(t, n, "it is a standby")
		})
	}
}

// TestInstanceIDDoesNotWait: with an InstanceID, the process that follows a killed one goes on at
// once.
func TestInstanceIDDoesNotWait(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := liveTopic(t, liveAdmin(t, addrs...), 4)
	c := processConfig{Addrs: addrs, Topic: topic, Group: liveName(t), Session: 30 * time.Second, Instance: "one"}
	b := killedMember(t, c)
	at := time.Now()
	require.NoError(t, livePublish(t.Context(), b, c.Topic, liveEvents(t, 20, 40, 10)...))
	_, book := runConsumer(t, b, leat.Subscription{Topic: c.Topic, Group: c.Group})
	book.await(t, 20)
	took := time.Since(at)
	assert.Less(t, took, c.Session/2)
	t.Logf("all after %v", took)
}
