package interop_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience bounds what must happen, however slow the machine is.
const patience = 40 * time.Second

// TestClientOnKafka sends 100 events of 10 keys with a client of the SDK and receives them with
// another. Every tenth fails at first. Each key comes in order, and when the receiver has stopped
// everything is committed.
func TestClientOnKafka(t *testing.T) {
	t.Parallel()
	const events, keys = 100, 10
	b, err := kafka.New(&kafka.Options{Hosts: brokertest.Kafka(t), CommitInterval: 50 * time.Millisecond})
	require.NoError(t, err)
	defer func() { assert.NoError(t, b.Close()) }()
	name := "interop-" + rand.Text()
	sub := leat.Subscription{Topic: name, Group: name}
	p, err := cloudevents.New(b, &cloudevents.Options{Topic: name, Subscription: sub})
	require.NoError(t, err)
	defer func() { assert.NoError(t, p.Close(context.Background())) }()
	c, err := sdk.NewClient(p)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, leat.Declare(ctx, b, sub))

	sent := map[string]sdk.Event{}
	for i := range events {
		e := sdk.NewEvent()
		e.SetID(fmt.Sprint(i))
		e.SetSource("https://example.com/a?b")
		e.SetType("com.example.t")
		e.SetSubject("Köln %20 日本🚀")
		e.SetTime(time.Date(2026, 1, 2, 3, 4, 5, i, time.FixedZone("", 7200)))
		e.SetExtension("partitionkey", fmt.Sprint(i%keys))
		e.SetExtension("sampledrate", i)
		if i > 0 {
			require.NoError(t, e.SetData("application/octet-stream", []byte{0, 0xff, byte(i)}))
		}
		sent[e.ID()] = e
		require.NoError(t, c.Send(ctx, e))
	}

	var mu sync.Mutex
	got, last, failed := map[string]sdk.Event{}, map[string]int{}, map[string]bool{}
	receiving, stop := context.WithCancel(ctx)
	require.NoError(t, c.StartReceiver(receiving, func(e sdk.Event) error {
		mu.Lock()
		defer mu.Unlock()
		n, key := 0, e.Extensions()["partitionkey"].(string)
		if _, err := fmt.Sscan(e.ID(), &n); err != nil {
			return err
		}
		if n%10 == 0 && !failed[e.ID()] {
			failed[e.ID()] = true
			return errors.New("not yet")
		}
		if before, ok := last[key]; ok {
			assert.Equal(t, before+keys, n)
		}
		last[key], got[e.ID()] = n, e
		if len(got) == events {
			stop()
		}
		return nil
	}))
	require.NoError(t, ctx.Err(), "%d of %d events came", len(got), events)
	for id, e := range sent {
		want, err := cloudevents.FromSDK(e)
		require.NoError(t, err)
		back, err := cloudevents.FromSDK(got[id])
		require.NoError(t, err)
		assert.True(t, back.Equal(want), "%v, %v", want, back)
		assert.Equal(t, fmt.Sprint(e.Extensions()["sampledrate"]), got[id].Extensions()["sampledrate"], "Kafka's headers have no types")
	}
	lag, err := b.Lag(ctx, name, name)
	require.NoError(t, err)
	for _, p := range lag.Parts {
		assert.Equal(t, p.Details["end"], p.Details["committed"], "partition %s", p.Name)
	}
}
