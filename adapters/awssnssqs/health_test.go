package awssnssqs_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHealthAfterAnOutage is well, although nothing was published since.
func TestHealthAfterAnOutage(t *testing.T) {
	t.Parallel()
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := onStub(t, o)
			var log brokertest.Logbook
			o.Endpoint, o.Logger, o.Config = s.server.URL(), log.Logger(), config()
			b, err := awssnssqs.New(&o)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, b.Close()) })
			producer := leat.NewProducer(b, nil)
			require.NoError(t, producer.Publish(t.Context(), faultTopic, s.events(1, 1)...))
			s.server.Kill()
			for range 2 { // the first may find that its connection is gone only when it is sent
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				require.Error(t, producer.Publish(ctx, faultTopic, s.events(1, 1)...))
				cancel()
			}
			require.Equal(t, leat.CodeUnavailable, leat.CodeOf(b.Health()))
			require.NoError(t, s.server.Start(t.Context()))
			require.Eventually(t, func() bool { return b.Health() == nil }, brokertest.Patience, time.Millisecond)
			require.Eventually(t, func() bool { return len(log.With(`INFO msg="publishing to AWS works again"`)) == 1 },
				brokertest.Patience, time.Millisecond)
		})
	}
}

// TestHealthForgetsAnOutcome: that one was unknown says nothing of the next, for long.
func TestHealthForgetsAnOutcome(t *testing.T) {
	t.Parallel()
	s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, Standard: true})
	s.server.Break(awsstub.Fault{Action: "SendMessageBatch", Lose: true, Times: 1})
	require.Equal(t, leat.CodeUnknown, leat.CodeOf(s.publish(s.events(1, 1))[0]))
	require.Error(t, s.b.Health())
	require.Eventually(t, func() bool { return s.b.Health() == nil }, brokertest.Patience, time.Millisecond)
}
