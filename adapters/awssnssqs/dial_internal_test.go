package awssnssqs

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("connection refused")

// TestOverdueSaysLessThanAnAttempt: requests whose time is over neither hide why an attempt failed,
// nor put the next one off, and Close of a stream says nothing about connections.
func TestOverdueSaysLessThanAnAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var tasks lifecycle.Tasks
		d := newDialer(time.Second, &tasks)
		defer d.end()
		d.overdue(context.DeadlineExceeded)
		require.NoError(t, d.reachable(t.Context()), "there is no address yet")

		dials, result := 0, errRefused
		d.dial = func(context.Context, string, string) (net.Conn, error) {
			dials++
			if result != nil {
				return nil, result
			}
			c, _ := net.Pipe()
			return c, nil
		}
		_, err := d.DialContext(t.Context(), "tcp", "aws:443")
		require.ErrorIs(t, err, errRefused)
		began := time.Now()
		time.Sleep(dialEvery / 2)
		d.overdue(context.DeadlineExceeded)
		require.ErrorIs(t, d.err, errRefused)
		result = nil
		require.NoError(t, d.reachable(t.Context()))
		require.Equal(t, dialEvery, time.Since(began))
		d.overdue(context.Canceled)
		require.NoError(t, d.reachable(t.Context()))
		require.Equal(t, 2, dials)
		d.overdue(context.DeadlineExceeded)
		require.NoError(t, d.reachable(t.Context()))
		require.Equal(t, 3, dials, "a probe")
	})
}
