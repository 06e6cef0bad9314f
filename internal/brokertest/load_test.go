package brokertest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// slowBroker delivers a few events a second.
type slowBroker struct{ *memory.Broker }

type slowStream struct{ leat.Stream }

func (b slowBroker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.Broker.Subscribe(ctx, sub)
	return slowStream{s}, err
}

func (s slowStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	time.Sleep(time.Second)
	return s.Stream.Receive(ctx, into[:min(len(into), 20)])
}

// TestLoadOnASlowBroker: what takes longer than Patience in all is not lost.
func TestLoadOnASlowBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := slowBroker{memory.New(&memory.Options{Buffer: 2_000, FullTimeout: time.Hour})}
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		l := brokertest.StartLoad(t, b, brokertest.Name(t), nil)
		l.Progress(100)
		began := time.Now()
		l.Finish(0)
		require.Greater(t, time.Since(began), 2*brokertest.Patience)
	})
}
