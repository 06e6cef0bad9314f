package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestNoTimestamp: a record without a timestamp, which is -1 on the wire, has none for a Mapping,
// rather than a time in 1969.
func TestNoTimestamp(t *testing.T) {
	t.Parallel()
	var got time.Time
	c := decoder{mapping: func(m foreign.Message) (leat.Event, error) {
		got = m.Time
		return leat.Event{}, m.Err
	}}
	reason := errors.New("it is plain")
	for millis, none := range map[int64]bool{-1: true, -2: false, 0: false, 1_700_000_000_000: false} {
		at := time.UnixMilli(millis)
		_, err := c.mapped(&kgo.Record{Topic: "t", Timestamp: at}, reason)
		require.ErrorIs(t, err, reason)
		assert.Equal(t, none, got.IsZero())
		if !none {
			assert.True(t, at.Equal(got))
		}
	}
}
