package telemetry_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheAgeOfAnEvent grows with the time, and is below 0 where another clock made it.
func TestTheAgeOfAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := telemetry.New(newBroker(t), telemetry.Options{}, func(int, telemetry.Labels) telemetry.Series { return nothing })
		defer c.Close()
		timer := c.NewTimer(true)
		made := time.Now().Add(time.Minute)
		e, err := leat.NewEvent("placed", &leat.EventOptions{ID: "1", Source: "/test", Time: made})
		require.NoError(t, err)
		for _, wait := range []time.Duration{0, time.Millisecond, 2 * time.Second, time.Minute, time.Hour, time.Millisecond} {
			time.Sleep(wait)
			attempt := timer.Begin(e)
			age, known := timer.Age(&attempt)
			assert.True(t, known)
			assert.Equal(t, time.Since(made), age)
		}
		attempt := timer.Begin(leat.Event{})
		_, known := timer.Age(&attempt)
		assert.False(t, known)
	})
}
