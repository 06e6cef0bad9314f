package leat_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A Consumer that waits for room when the pause begins is not stalled by the pause: it does not
// receive because it was told so.
func TestAPauseOfABusyConsumerIsNoStall(t *testing.T) {
	pauses := map[string]struct {
		begin func(r *running, ask func())
		why   string
	}{
		"by Pause": {func(r *running, _ func()) { r.consumer.Pause() },
			`leat: consume topic "orders": conflict: paused by Consumer.Pause, until Consumer.Resume, since 2000-01-01T00:00:00Z`},
		"by handler": {func(_ *running, ask func()) { ask() },
			`leat: consume topic "orders": unavailable: paused by a handler until 2000-01-01T00:10:01Z, event "ID" of type "com.example.test": ` +
				`boom, since 2000-01-01T00:00:01Z`},
	}
	for name, pause := range pauses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBroker()
				asked := make(chan struct{}, 1)
				r := start(t, b, func(context.Context, leat.Event) error {
					time.Sleep(time.Second)
					select {
					case <-asked:
						return leat.Pause(10*time.Minute, errBoom)
					default:
						return nil
					}
				}, &leat.ConsumerOptions{MaxInFlight: 10, Concurrency: 10, StallAfter: 30 * time.Second})
				lease := leat.NewLease()
				for i := range 25 {
					b.deliver(lease, event(t, fmt.Sprint(i), ""))
				}
				synctest.Wait() // the receive loop waits for room
				pause.begin(r, func() { asked <- struct{}{} })
				time.Sleep(5 * time.Minute)
				h := r.consumer.Health()
				assert.Equal(t, leat.Paused, h.State)
				require.Len(t, h.Problems, 1, "a stall is none of them")
				assert.Equal(t, pause.why, regexp.MustCompile(`event "\d+"`).ReplaceAllString(h.Problems[0].Error(), `event "ID"`))

				r.consumer.Resume()
				time.Sleep(time.Minute)
				assert.Equal(t, leat.Health{}, r.consumer.Health())
				assert.Len(t, b.settlements(), 25)
				r.stopClean()
			})
		})
	}
}

// The limits may still be used up when the pause ends: the time counts from there.
func TestStallCountsFromTheEndOfAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, func(context.Context, leat.Event) error {
			time.Sleep(time.Hour)
			return nil
		}, &leat.ConsumerOptions{MaxInFlight: 2, StallAfter: 30 * time.Second, ShutdownTimeout: 2 * time.Hour})
		b.deliver(leat.NewLease(), event(t, "1", ""), event(t, "2", ""), event(t, "3", ""))
		synctest.Wait()
		r.consumer.Pause()
		time.Sleep(10 * time.Minute)
		r.consumer.Resume()
		time.Sleep(29 * time.Second)
		assert.Equal(t, leat.Healthy, r.consumer.Health().State)
		time.Sleep(2 * time.Second)
		assert.Equal(t, leat.Stalled, r.consumer.Health().State)
		r.stopClean()
	})
}

// A pause that is renewed before an attempt has told anything is one pause, in health and in the
// log: such as that of a circuit breaker, whose probes fail and whose other events wait for them.
func TestARenewedPauseIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, began := newFakeBroker(), newLogged(), time.Now()
		r := start(t, b, func(context.Context, leat.Event) error {
			switch at := time.Since(began); {
			case at < 100*time.Second:
				return leat.Pause(200*time.Millisecond, errBoom)
			case at < 110*time.Second:
				return leat.Postpone(time.Second, errBoom)
			}
			return nil
		}, &leat.ConsumerOptions{Logger: log.logger()})
		b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "l"))
		time.Sleep(99*time.Second + 100*time.Millisecond)
		h := r.consumer.Health()
		require.Len(t, h.Problems, 1)
		assert.ErrorContains(t, h.Problems[0], "paused by a handler until 2000-01-01T00:01:39Z")
		assert.ErrorContains(t, h.Problems[0], ", since 2000-01-01T00:00:00Z")
		time.Sleep(time.Minute)
		assert.Len(t, b.settlements(), 2)
		r.stopClean()
		lines := log.lines(t)
		require.Len(t, lines, 3)
		assert.Contains(t, lines[0], `at=0s level=WARN msg="consumer paused"`)
		assert.Contains(t, lines[1], `at=1m50s level=INFO msg="consumer continues after a pause" paused=1m40s`)
	})
}

// The next pause is another one when an attempt has told something in between, also if another
// event than the one that asked for it, and when nothing was left that could.
func TestPausesThatAreTwo(t *testing.T) {
	for name, leave := range map[string]func(b *fakeBroker, lease *leat.Lease){
		"another event": func(b *fakeBroker, _ *leat.Lease) { b.deliver(leat.NewLease(), event(t, "well", "w")) },
		"lost":          func(_ *fakeBroker, lease *leat.Lease) { lease.End(errBoom) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, log := newFakeBroker(), newLogged()
				r := start(t, b, func(_ context.Context, e leat.Event) error {
					if e.ID() == "well" {
						return nil
					}
					time.Sleep(10 * time.Second)
					return leat.Pause(20*time.Second, errBoom)
				}, &leat.ConsumerOptions{Logger: log.logger()})
				lease := leat.NewLease()
				b.deliver(lease, event(t, "1", "k"))
				time.Sleep(31 * time.Second)
				leave(b, lease)
				time.Sleep(10 * time.Second) // the handler returns
				b.deliver(leat.NewLease(), event(t, "2", "l"))
				time.Sleep(11 * time.Second)
				r.stopClean()
				var begun, ended int
				for _, line := range log.lines(t) {
					switch {
					case strings.Contains(line, "consumer paused"):
						begun++
					case strings.Contains(line, "consumer continues"):
						ended++
						assert.Contains(t, line, "paused=20s")
					}
				}
				assert.Equal(t, []int{2, 1}, []int{begun, ended}, "%v", log.lines(t))
			})
		})
	}
}
