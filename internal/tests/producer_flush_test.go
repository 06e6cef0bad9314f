package leat_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
)

// Flush waits for what was published before it, not for what others publish meanwhile.
func TestFlushEndsUnderSteadyTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		b.publish = func(_ context.Context, _ string, events []leat.Event, done func(int, error)) {
			for i := range events {
				time.AfterFunc(time.Second, func() { done(i, nil) })
			}
		}
		p := leat.NewProducer(b, nil)
		stop, e := make(chan struct{}), event(t, "1", "")
		go func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(500 * time.Millisecond):
					p.PublishAsync(context.Background(), "t", nil, e)
				}
			}
		}()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		err := p.Flush(ctx)
		assert.NoError(t, err)
		assert.Less(t, time.Since(began), 3*time.Second)
		close(stop)
		time.Sleep(2 * time.Second)
	})
}
