package nats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
)

// A report that is repeated for each message has one line, however long it goes on, and another one
// when it comes back. The end is told after a minute without reports.
func TestReportsHaveALineForEachIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		j := newJournal(slog.New(slog.NewTextHandler(&out, nil)))
		lines := func() (n int) {
			defer out.Reset()
			return strings.Count(out.String(), "\n")
		}
		deny := func(i int) {
			subject := fmt.Sprint("$JS.ACK.t.g.", i)
			j.report("consume", "h:1", fmt.Errorf("%w: Permissions Violation for Publish to %q", nats.ErrPermissionViolation, subject))
		}
		for i := range 1000 {
			deny(i)
			time.Sleep(time.Second)
			j.calm()
		}
		assert.Equal(t, 1, lines())
		j.report("consume", "h:1", nats.ErrSlowConsumer)
		assert.Equal(t, 1, lines(), "another kind")
		time.Sleep(calmAfter - time.Millisecond)
		j.calm()
		assert.Zero(t, lines())
		time.Sleep(time.Millisecond)
		j.calm()
		j.calm()
		assert.Equal(t, 1, lines(), "the end")
		deny(1)
		assert.Equal(t, 1, lines(), "it begins again")
	})
}

// A write that fails because the connection breaks is a part of the outage, and one that only takes
// too long is not.
func TestBrokenWriteIsAPartOfTheOutage(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := (&Options{Hosts: []string{"h:1"}}).withDefaults()
	var tasks lifecycle.Tasks
	l := newLink(&o, "consume", newJournal(slog.New(slog.NewTextHandler(&out, nil))), &tasks)
	defer l.cancel()
	l.turn(true, nil)
	l.reported(&net.OpError{Op: "write", Err: syscall.ECONNRESET})
	assert.Empty(t, out.String())
	l.reported(&net.OpError{Op: "write", Err: os.ErrDeadlineExceeded})
	assert.Contains(t, out.String(), "the NATS client reports an error")
	out.Reset()
	l.disconnected(io.EOF)
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
}

// An outage is over when no connection is missing any more.
func TestOutageEndsWithTheLastConnection(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := newJournal(slog.New(slog.NewTextHandler(&out, nil)))
	j.connected("publish", "h:1")
	j.connected("consume", "h:1")
	assert.Empty(t, out.String(), "nothing was wrong")
	j.lost("publish", "h:1", errors.New("EOF"))
	j.lost("consume", "h:1", errors.New("EOF"))
	j.connected("publish", "h:1")
	assert.NotContains(t, out.String(), "again")
	j.connected("consume", "h:1")
	assert.Contains(t, out.String(), "connected to NATS again")
	assert.Equal(t, 2, strings.Count(out.String(), "\n"))
}

// An attempt that fails, while another one is made that succeeds, has a line for its end, whichever
// of the two is told first.
func TestAnOutageThatEndsBeforeItsLineHasAnEnd(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := (&Options{Hosts: []string{"h:1"}}).withDefaults()
	var tasks lifecycle.Tasks
	l := newLink(&o, "consume", newJournal(slog.New(slog.NewTextHandler(&out, nil))), &tasks)
	defer l.cancel()
	close(l.made)
	l.failed(&hookError{look: func() {
		l.log.mu.Lock()
		down := l.log.down["consume"]
		l.log.mu.Unlock()
		if down && !l.alive() { // failed is on its way to the line
			l.connected(nil)
		}
	}})
	assert.Contains(t, out.String(), "cannot connect to NATS")
	assert.Contains(t, out.String(), "connected to NATS again")
	assert.Empty(t, l.log.down)
	l.connected(nil)
	assert.Equal(t, 2, strings.Count(out.String(), "\n"))
}

// hookError calls look whenever it is looked into.
type hookError struct{ look func() }

func (*hookError) Error() string { return "no" }

func (e *hookError) Is(error) bool {
	e.look()
	return false
}
