package gcppubsub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func second(seconds int64) time.Time { return time.Unix(seconds, 0) }

// TestPongsAreOfPings: leases count from a ping when all answers that were due have come, and never
// from an earlier moment than before.
func TestPongsAreOfPings(t *testing.T) {
	t.Parallel()
	p := &pings{answered: second(1)}
	assert.False(t, p.pong(), "none is due")
	assert.True(t, p.begin(second(2)))
	assert.False(t, p.begin(second(3)), "one waits")
	assert.True(t, p.pong())
	assert.Equal(t, second(2), p.hear(second(3)))
	assert.False(t, p.pong(), "it was answered")

	assert.True(t, p.begin(second(4)))
	assert.True(t, p.beginCall(false))
	assert.False(t, p.beginCall(false), "one is under way")
	p.endCall(second(5), true)
	assert.True(t, p.begin(second(6)))
	assert.True(t, p.pong(), "it may be that of the ping before")
	assert.True(t, p.waits())
	assert.Equal(t, second(5), p.hear(second(7)))
	assert.True(t, p.pong())
	assert.Equal(t, second(6), p.hear(second(7)))

	assert.True(t, p.begin(second(8)))
	assert.True(t, p.beginCall(false))
	assert.True(t, p.pong())
	p.endCall(second(7), true)
	assert.Equal(t, second(8), p.hear(second(9)))
}

// TestSilence: messages show that the server is alive, and a call finds out from when leases count.
func TestSilence(t *testing.T) {
	t.Parallel()
	p := &pings{answered: second(1)}
	assert.False(t, p.heardAny())
	p.begin(second(10))
	assert.False(t, p.silent(second(14), 5*time.Second))
	assert.True(t, p.silent(second(15), 5*time.Second))
	assert.False(t, p.beginCall(true), "nothing has come")
	p.hear(second(13))
	assert.True(t, p.heardAny())
	assert.False(t, p.silent(second(15), 5*time.Second))
	assert.True(t, p.silent(second(18), 5*time.Second))
	assert.True(t, p.beginCall(true))
	p.endCall(second(18), false)
	assert.True(t, p.waits())
}
