package kafka

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLateAnswerCountsAsWaited: all of the time that the first question takes counts for the DeliveryTimeout, also where the machine is
// busy and the answer later than the limit.
func TestLateAnswerCountsAsWaited(t *testing.T) {
	t.Parallel()
	for late, want := range map[time.Duration]time.Duration{
		300 * time.Millisecond: 700 * time.Millisecond,
		800 * time.Millisecond: 200 * time.Millisecond,
		3 * time.Second:        100 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &Broker{o: Options{DeliveryTimeout: time.Second}}
			a := admission{limit: 500 * time.Millisecond, attempt: &attempt{answered: make(chan struct{})}}
			answered := a.attempt.answered
			time.AfterFunc(late, func() { close(answered) })
			waited, err := a.check(t.Context(), nil)
			require.NoError(t, err)
			assert.Equal(t, want, b.patience(waited))
		})
	}
}
