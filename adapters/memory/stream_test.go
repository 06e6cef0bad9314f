package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestS1MismatchOfOrder(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		declare(t, b, billing)
		_, err := b.Subscribe(t.Context(), unordered)
		requireCode(t, leat.CodeUnsupported, err)
		require.ErrorContains(t, err, "Unordered: false")
		requireCode(t, leat.CodeUnsupported, b.Declare(t.Context(), unordered))
		declare(t, b, billing)
	})
}

func TestS2UnknownTopicAndGroup(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		_, err := b.Subscribe(t.Context(), billing)
		requireCode(t, leat.CodeNotFound, err)
		publish(t, b, events(t, "k", 1)...)
		_, err = b.Subscribe(t.Context(), billing)
		requireCode(t, leat.CodeNotFound, err)
		require.ErrorContains(t, err, "declare it first")
		_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: "orders"})
		requireCode(t, leat.CodeInvalid, err)
	})
}

func TestProvisioning(t *testing.T) {
	bubble(t, &memory.Options{Provision: memory.ProvisionVerify}, func(t *testing.T, b *memory.Broker) {
		other := leat.Subscription{Topic: "others", Group: "billing"}
		err := b.Declare(t.Context(), billing, other)
		requireCode(t, leat.CodeNotFound, err)
		require.ErrorContains(t, err, "orders")
		require.ErrorContains(t, err, "others", "every difference is reported")
		requireCode(t, leat.CodeNotFound, outcomes(t.Context(), t, b, "orders", events(t, "k", 1)...)[0])
		_, err = b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Broadcast: true})
		requireCode(t, leat.CodeNotFound, err)
	})
	bubble(t, &memory.Options{Provision: memory.ProvisionOff}, func(t *testing.T, b *memory.Broker) {
		declare(t, b, billing)
		_, err := b.Subscribe(t.Context(), billing)
		requireCode(t, leat.CodeNotFound, err)
	})
}

func TestS3PublishedBeforeTheFirstReceive(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		group, cast := open(t, b, billing), open(t, b, leat.Subscription{Topic: "orders", Broadcast: true})
		publish(t, b, events(t, "k", 2)...)
		require.Len(t, receive(t, group, 2), 2)
		require.Len(t, receive(t, cast, 2), 2)
	})
}

func TestS4GroupsAndBroadcasts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		cast := leat.Subscription{Topic: "orders", Broadcast: true}
		one, two, c1 := open(t, b, unordered), open(t, b, unordered), open(t, b, cast)
		publish(t, b, events(t, "k", 1)...)
		c2 := open(t, b, cast)
		publish(t, b, event(t, "last", "", 1))
		require.Equal(t, []string{"k-0"}, ids(receive(t, one, 1)))
		require.Equal(t, []string{"last"}, ids(receive(t, two, 1)), "streams of a group share")
		require.ElementsMatch(t, []string{"k-0", "last"}, ids(receive(t, c1, 2)))
		require.Equal(t, []string{"last"}, ids(receive(t, c2, 1)), "a broadcast begins now")
		nothing(t, one, time.Minute)
	})
}

func TestR1ReceiveBlocksForOne(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		got := receiving(t, s, 1)
		synctest.Wait()
		publish(t, b, events(t, "k", 1)...)
		settle(s, ack, <-got...)
		nothing(t, s, time.Second) // and the error of ctx harms nothing
		publish(t, b, events(t, "j", 3)...)
		into := make([]leat.Delivery, 10)
		n, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 3, n)
		_, err = s.Receive(t.Context(), nil)
		requireCode(t, leat.CodeInvalid, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = s.Receive(ctx, into)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestR1AWokenStreamThatLeavesHandsOn(t *testing.T) {
	for range 50 {
		bubble(t, nil, func(t *testing.T, b *memory.Broker) {
			one, two := open(t, b, unordered), open(t, b, unordered)
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan int)
			go func() {
				n, _ := one.Receive(ctx, make([]leat.Delivery, 1))
				left <- n
			}()
			synctest.Wait()
			taken := make(chan int, 1)
			ctx2, cancel2 := context.WithCancel(t.Context())
			go func() {
				n, _ := two.Receive(ctx2, make([]leat.Delivery, 1))
				taken <- n
			}()
			synctest.Wait()
			all := events(t, "", 1)
			cancel() // one's Receive is over, but it may be picked for the event before it knows
			b.Publish(t.Context(), "orders", all, func(int, error) {})
			n := <-left
			synctest.Wait()
			cancel2()
			require.Equal(t, 1, n+<-taken)
		})
	}
}

func TestR3OrderOfKeysAndNoStarvation(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		for i := range 200 {
			publish(t, b, event(t, fmt.Sprint(i), fmt.Sprintf("key-%d", i%7), 1), event(t, fmt.Sprintf("u%d", i), "", 1))
		}
		last, unkeyed := map[string]uint64{}, 0
		for i, d := range receive(t, s, 400) {
			if key := d.Event.Key(); key != "" {
				require.GreaterOrEqual(t, uint64(d.Position.Offset), last[key])
				last[key] = uint64(d.Position.Offset)
			} else {
				unkeyed++
			}
			if i == 99 {
				require.InDelta(t, 50, unkeyed, 20, "neither kind starves")
			}
			require.NotNil(t, d.Lease)
			require.Equal(t, 1, d.Deliveries)
		}
	})
}

func TestR4MalformedDelivery(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		body, reason := []byte("junk"), errors.New("no attributes")
		require.NoError(t, b.DeliverRaw("orders", leat.Malformed{
			Headers: []leat.Header{{Name: "a", Value: []byte("b")}}, Key: []byte("k"), Body: body, Reason: reason}))
		body[0] = 'X'
		publish(t, b, events(t, "k", 1)...)
		late := open(t, b, leat.Subscription{Topic: "orders", Group: "late"})
		for _, s := range []leat.Stream{s, late} {
			ds := receive(t, s, 2)
			require.Equal(t, []string{"raw:junk", "k-0"}, ids(ds), "in the order of its key")
			require.True(t, ds[0].Event.IsZero())
			require.Equal(t, reason, ds[0].Malformed.Reason)
			settle(s, ack, ds...)
		}
		require.NoError(t, b.DeliverRaw("orders", leat.Malformed{}))
		d := receive(t, s, 1)[0]
		require.Error(t, d.Malformed.Reason)
		settle(s, giveBack, d)
		require.Equal(t, 2, receive(t, s, 1)[0].Deliveries)
	})
}

func TestR5InFlightLimits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		sub := billing
		sub.MaxInFlight, sub.MaxInFlightBytes = 4, 1000
		s := open(t, b, sub)
		publish(t, b, events(t, "k", 6)...)
		into := make([]leat.Delivery, 10)
		n, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 4, n)
		nothing(t, s, time.Second)
		got := receiving(t, s, 1)
		synctest.Wait()
		settle(s, ack, into[2])
		require.Equal(t, []string{"k-4"}, ids(<-got))
		settle(s, giveBack, into[0], into[1], into[3])
	})
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		sub := billing
		sub.MaxInFlightBytes = 1000
		s := open(t, b, sub)
		publish(t, b, event(t, "huge", "k", 3000), event(t, "a", "k", 600), event(t, "b", "k", 600))
		huge := receive(t, s, 1)
		nothing(t, s, time.Second) // the huge one is alone
		settle(s, ack, huge...)
		a := receive(t, s, 1)
		nothing(t, s, time.Second)
		settle(s, giveBack, a...)
		require.Equal(t, []string{"a"}, ids(receive(t, s, 1)))
		require.Equal(t, []string{"a"}, ids(a))
	})
}

func TestR6IntoBelongsToTheCaller(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, events(t, "k", 2)...)
		into := make([]leat.Delivery, 2)
		_, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		mine := append([]leat.Delivery(nil), into...)
		clear(into)
		settle(s, ack, mine...)
		requireDepth(t, b, 0, 0)
	})
}

func TestCapabilities(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		require.Equal(t, leat.Capabilities{Order: leat.OrderPerGroup, History: true, DeliveryCount: true, LongestDelay: 24 * time.Hour},
			open(t, b, billing).Capabilities())
		require.Equal(t, leat.OrderNone, open(t, b, leat.Subscription{Topic: "o", Group: "g", Unordered: true}).Capabilities().Order)
		require.True(t, open(t, b, leat.Subscription{Topic: "o", Broadcast: true}).Capabilities().Broadcast)
	})
}

func TestHistory(t *testing.T) {
	bubble(t, &memory.Options{History: 5}, func(t *testing.T, b *memory.Broker) {
		publish(t, b, events(t, "k", 8)...)
		s := open(t, b, billing)
		require.Equal(t, []string{"k-3", "k-4", "k-5", "k-6", "k-7"}, ids(receive(t, s, 5)))
		nothing(t, s, time.Second)
	})
	bubble(t, &memory.Options{HistoryBytes: 5 * event(t, "1", "k", 80).Size() / 2}, func(t *testing.T, b *memory.Broker) {
		publish(t, b, event(t, "1", "k", 80), event(t, "2", "k", 80), event(t, "3", "k", 80), event(t, "4", "k", 80))
		require.Equal(t, []string{"3", "4"}, ids(receive(t, open(t, b, billing), 2)))
	})
	bubble(t, &memory.Options{NoHistory: true}, func(t *testing.T, b *memory.Broker) {
		publish(t, b, events(t, "k", 8)...)
		nothing(t, open(t, b, billing), time.Second)
	})
	bubble(t, &memory.Options{History: 2}, func(t *testing.T, b *memory.Broker) {
		declare(t, b, billing) // a group's queue is no history
		publish(t, b, events(t, "k", 8)...)
		require.Len(t, receive(t, open(t, b, billing), 8), 8)
	})
}

func TestSeveralBrokers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		other := memory.New(nil)
		defer func() { require.NoError(t, other.Close()) }()
		mine, theirs := open(t, b, billing), open(t, other, billing)
		publish(t, b, event(t, "mine", "k", 1))
		publish(t, other, event(t, "theirs", "k", 1))
		require.Equal(t, []string{"mine"}, ids(receive(t, mine, 1)))
		require.Equal(t, []string{"theirs"}, ids(receive(t, theirs, 1)))
	})
}
