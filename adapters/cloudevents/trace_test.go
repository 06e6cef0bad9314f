package cloudevents_test

import (
	"context"
	"testing"
	"testing/synctest"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTraceOfASend: the trace context of a Send's ctx travels beside the event, and the receiver's
// ctx tells it. The event is unchanged.
func TestTraceOfASend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{})
		want := leat.TraceContext{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "a=1"}
		require.NoError(t, b.client.Send(leat.ContextWithTrace(t.Context(), want), plainEvent("1")))
		seen, extension := make(chan *leat.TraceContext, 1), make(chan any, 1)
		stop := b.start(func(ctx context.Context, e sdk.Event) {
			info, _ := leat.InfoFrom(ctx)
			seen <- info.Trace
			extension <- e.Extensions()["traceparent"]
		})
		assert.Equal(t, &want, <-seen)
		assert.Nil(t, <-extension)
		require.NoError(t, stop())
	})
}
