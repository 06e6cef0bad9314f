package rabbitmq

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	"github.com/stretchr/testify/assert"
)

// slowLog is a log whose writes last until it is closed.
type slowLog chan struct{}

func (l slowLog) Write(p []byte) (int, error) {
	<-l
	return len(p), nil
}

// TestMovingIsAwaited: the goroutine that moves delayed events to delay queues is one of those that
// Close awaits.
func TestMovingIsAwaited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, log := bareGeneration(t, 1), make(slowLog)
		s := g.s
		s.broker = &Broker{o: Options{Logger: slog.New(slog.NewTextHandler(log, nil))}}
		s.stuck.Logger = s.broker.o.Logger
		s.ctx, s.cancel = context.WithCancel(t.Context())
		s.delays = delays{s: s, least: time.Minute}
		g.topology.queue.Name = strings.Repeat("q", rabbit.LongestName) // no delay queue can have such a name, which is logged
		d := make([]leat.Delivery, 1)
		n, err := s.Receive(t.Context(), d)
		assert.NoError(t, err)
		assert.Equal(t, 1, n)
		s.Settle(&d[0], leat.Settlement{Action: leat.GiveBack, Delay: time.Minute})
		synctest.Wait()

		s.cancel()
		awaited := make(chan struct{})
		go func() {
			defer close(awaited)
			s.broker.life.Tasks.Wait()
		}()
		synctest.Wait()
		select {
		case <-awaited:
			t.Error("Close would return while events are still moved")
		default:
		}
		close(log)
		<-awaited
		synctest.Wait()
	})
}
