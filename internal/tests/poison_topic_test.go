package leat_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPoisonTopicsAreUnique has all pairs of a topic and a group of up to four parts, some of which
// look like the end of a poison topic.
func TestPoisonTopicsAreUnique(t *testing.T) {
	words := []string{"a", "poison", "poison-2", "poison-broadcast", "broadcast"}
	names := words
	for range 2 {
		var longer []string
		for _, name := range names {
			for _, w := range words {
				longer = append(longer, name+"."+w)
			}
		}
		names = slices.Concat(longer, words)
	}
	seen := map[string]string{}
	for _, topic := range names {
		for _, group := range append([]string{""}, names...) {
			name, pair := leat.PoisonTopic(topic, group), fmt.Sprintf("%q %q", topic, group)
			if other, twice := seen[name]; twice {
				require.Equal(t, other, pair, "the poison topic %s", name)
			}
			seen[name] = pair
			sub := leat.Subscription{Topic: name, Group: leat.ReplayGroup}
			require.NoError(t, sub.Validate(), "every broker takes the name")
			route := leat.NewRouter(leat.Route{Type: "a", Topic: topic, Handler: &recorder{}})
			require.NoError(t, route.Check(sub), "%s is the poison topic of %s", name, pair)
		}
	}
	for want, pair := range map[string][2]string{
		"orders.billing.poison": {"orders", "billing"}, "orders.eu.billing.poison": {"orders.eu", "billing"},
		"orders.eu.billing.poison-2": {"orders", "eu.billing"}, "orders.poison-broadcast": {"orders", ""},
		"orders.broadcast.poison": {"orders", "broadcast"},
	} {
		assert.Equal(t, want, leat.PoisonTopic(pair[0], pair[1]), "names must stay as they are from one version to the next")
	}
}

// TestRunRefusesPoisonTopicsThatCannotBe.
func TestRunRefusesPoisonTopicsThatCannotBe(t *testing.T) {
	b, other := memory.New(nil), memory.New(nil)
	defer func() { assert.NoError(t, errors.Join(b.Close(), other.Close())) }()
	producer := leat.NewProducer(b, nil)
	dashes := func(topic, group string) string { return "dead-" + topic + "-" + group }
	consumer := func(b leat.Broker, topic, group string, o *middleware.PoisonOptions) *leat.Consumer {
		return leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: group}, &recorder{},
			&leat.ConsumerOptions{PoisonQueue: middleware.PoisonQueue(producer, o)})
	}
	own := &middleware.PoisonOptions{Topic: dashes}
	shared := &middleware.PoisonOptions{Topic: dashes, Shared: true}
	long := strings.Repeat("n", 120)
	for name, c := range map[string]struct {
		consumers []*leat.Consumer
		want      string // part of the error; empty where there is none
	}{
		"names that collide": {
			[]*leat.Consumer{consumer(b, "a-b", "c", own), consumer(b, "a", "b-c", own)},
			`run topic "a": invalid: group "b-c" would share the poison topic "dead-a-b-c" with group "c" of topic "a-b"; use other names, or ` +
				`PoisonOptions.Shared`,
		},
		"meant to be shared":   {[]*leat.Consumer{consumer(b, "a-b", "c", shared), consumer(b, "a", "b-c", shared)}, ""},
		"members of one group": {[]*leat.Consumer{consumer(b, "a", "c", own), consumer(b, "a", "c", own)}, `two Consumers have the group "c"`},
		"two brokers":          {[]*leat.Consumer{consumer(b, "a-b", "c", own), consumer(other, "a", "b-c", own)}, ""},
		"names with dots by the default": {
			[]*leat.Consumer{consumer(b, "orders.eu", "billing", nil), consumer(b, "orders", "eu.billing", nil)}, "",
		},
		"too long": {
			[]*leat.Consumer{consumer(b, long, long+"mm", nil)},
			`mm" "` + long + `.nnnnnnn"... is 250 bytes long; at most 249 are allowed; use shorter names, or a PoisonQueue that has`,
		},
		"the topic itself": {
			[]*leat.Consumer{consumer(b, "a", "c", &middleware.PoisonOptions{Topic: func(topic, _ string) string { return topic }})},
			`the poison topic of group "c" is the topic itself`,
		},
		"no valid name": {
			[]*leat.Consumer{consumer(b, "a", "c", &middleware.PoisonOptions{Topic: func(string, string) string { return "a b" }})},
			`the poison topic of group "c" "a b" has ' '`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			err := leat.Run(ctx, c.consumers...)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, leat.Stopped, c.consumers[0].Health().State)
			require.ErrorContains(t, leat.Run(ctx, c.consumers...), c.want, "a Consumer that was refused can be run again")
		})
	}
}

// wrappedBroker is a broker that looks as if it could be compared, and cannot.
type wrappedBroker struct {
	leat.Broker

	labels any
}

// TestRunDoesNotPanicOnBrokersThatCannotBeCompared: nobody knows whether they are one broker.
func TestRunDoesNotPanicOnBrokersThatCannotBeCompared(t *testing.T) {
	inner := memory.New(nil)
	defer func() { assert.NoError(t, inner.Close()) }()
	b := wrappedBroker{inner, []string{"a", "b"}}
	one := &middleware.PoisonOptions{Topic: func(string, string) string { return "dead" }}
	queue := middleware.PoisonQueue(leat.NewProducer(inner, nil), one)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NotPanics(t, func() {
		var consumers []*leat.Consumer
		for _, topic := range []string{"a", "b"} {
			consumers = append(consumers, leat.NewConsumer(b, leat.Subscription{Topic: topic, Group: "g"}, &recorder{},
				&leat.ConsumerOptions{PoisonQueue: queue}))
		}
		assert.NoError(t, leat.Run(ctx, consumers...))
	})
}
