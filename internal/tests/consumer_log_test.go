package leat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// logged is a Logger whose lines a test reads, with the time since the test began.
type logged struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	start time.Time
}

func newLogged() *logged { return &logged{start: time.Now()} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("at", a.Value.Time().Sub(l.start).String())
		}
		return a
	}}))
}

// lines returns what was logged, without topic and group, which all lines have, and without the
// start of the Consumer.
func (l *logged) lines(t *testing.T) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := []string{}
	for line := range strings.Lines(l.buf.String()) {
		require.Contains(t, line, " topic=orders group=billing")
		line = strings.TrimSpace(strings.Replace(line, " topic=orders group=billing", "", 1))
		if !strings.Contains(line, "consumer started") {
			lines = append(lines, line)
		}
	}
	return lines
}

// all returns what was logged.
func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.buf.String()), "\n")
}

// failTimes returns a handler that returns err n times for each event.
func failTimes(n int, err error) leat.HandlerFunc {
	return func(ctx context.Context, _ leat.Event) error {
		if info, _ := leat.InfoFrom(ctx); info.Attempt <= n {
			return err
		}
		return nil
	}
}

func TestTheLogHasTheFirstFailureOfAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		r := start(t, b, failTimes(4, leat.RetryAfter(time.Second, errors.New("no\nrow"))), &leat.ConsumerOptions{Logger: log.logger()})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		r.stopClean()
		assert.Equal(t, []string{
			`at=0s level=WARN msg="event failed and is tried again" type=com.example.test id=1 key=k position=1 attempt=1 delay=1s error="no; row"`,
			`at=1m0s level=INFO msg="consumer stopped"`,
		}, log.lines(t))
	})
}

func TestTheLogHasAPanicWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); info.Attempt < 4 {
				panic("no row")
			}
			return nil
		}, &leat.ConsumerOptions{Logger: log.logger(), Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{
			InitialDelay: time.Second, MaxDelay: time.Second, NoJitter: true})}})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		r.stopClean()
		lines := log.lines(t)
		require.Len(t, lines, 2)
		assert.Regexp(t, `^at=0s level=ERROR msg="handler panicked" type=com.example.test id=1 key=k position=1 attempt=1 `+
			`delay=1s error="[^"]*the handler panicked: no row" stack="goroutine \d+ \[running[^\]]*\]:.*consumer_log_test.go`, lines[0])
		assert.NotContains(t, lines[0], `{\"n\"`, "no payload")
	})
}

func TestTheLogHasEachPoisoning(t *testing.T) {
	for name, c := range map[string]struct {
		queue  leat.PoisonQueue
		native bool
		want   string
	}{
		"poison queue": {poisonFunc(func(context.Context, leat.Poisoned) error { return nil }), false,
			`at=0s level=ERROR msg="event is in the poison queue" type=com.example.test id=1 key=k position=1 attempt=1 ` +
				`poison_topic=orders.billing.poison error=boom`},
		"dead letters": {nil, true, `at=0s level=ERROR msg="event was rejected to the broker's dead letters" type=com.example.test id=1 key=k ` +
			`position=1 attempt=1 error=boom`},
		"nothing": {nil, false, `at=0s level=ERROR msg="event stays unsettled: it was rejected and there is no poison queue" ` +
			`type=com.example.test id=1 key=k position=1 attempt=1 error=boom`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, log := newFakeBroker(), newLogged()
				b.caps.NativeReject = c.native
				r := start(t, b, failTimes(1, leat.Reject(errBoom)), &leat.ConsumerOptions{Logger: log.logger(), PoisonQueue: c.queue})
				b.deliver(leat.NewLease(), event(t, "1", "k"))
				synctest.Wait()
				r.stopClean()
				assert.Equal(t, []string{c.want, `at=0s level=INFO msg="consumer stopped"`}, log.lines(t))
			})
		})
	}
}

// However many events fail, the log stays short, and says how many there were.
func TestTheLogOfAStormHasABound(t *testing.T) {
	const events = 100_000
	for name, c := range map[string]struct {
		outcome error
		message string
	}{
		"failures":   {leat.RetryAfter(time.Hour, errBoom), "event failed and is tried again"},
		"poisonings": {leat.Reject(errBoom), "event is in the poison queue"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, log := newFakeBroker(), newLogged()
				r := start(t, b, func(context.Context, leat.Event) error { return c.outcome }, &leat.ConsumerOptions{
					Logger: log.logger(), MaxInFlight: 2 * events, MaxInFlightBytes: 1 << 35,
					PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil }),
				})
				lease, one := leat.NewLease(), event(t, "1", "")
				for second := range 200 { // 100,000 in 200 s
					for i := range events / 200 {
						b.deliverRaw(leat.Delivery{Event: one, Lease: lease, Position: leat.Position{Offset: int64(second*500 + i)}})
					}
					time.Sleep(time.Second)
				}
				r.stopClean()
				var lines, counted int
				more := regexp.MustCompile(` more=(\d+)$`)
				for _, line := range log.lines(t) {
					if !strings.Contains(line, c.message) {
						continue
					}
					lines++
					counted++
					if m := more.FindStringSubmatch(line); m != nil {
						var n int
						_, err := fmt.Sscan(m[1], &n)
						require.NoError(t, err)
						counted += n
					}
				}
				t.Logf("%d lines for %d %s", lines, events, name)
				assert.LessOrEqual(t, lines, 41, "10 in a minute and message, and what is left at the end")
				assert.GreaterOrEqual(t, lines, 13)
				assert.Equal(t, events, counted, "each is counted")
			})
		})
	}
}

// Malformed deliveries are told once for each kind of reason, and then counted.
func TestTheLogCountsMalformedDeliveries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, &leat.ConsumerOptions{Logger: log.logger(),
			PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil })})
		lease := leat.NewLease()
		for i := range 100 {
			b.deliverRaw(leat.Delivery{Lease: lease, Position: leat.Position{ID: fmt.Sprint(i)},
				Malformed: &leat.Malformed{Body: []byte("SECRET"), Reason: fmt.Errorf("malformed JSON at byte %d: %q", i, fmt.Sprint(i))}})
		}
		b.deliverRaw(leat.Delivery{Lease: lease, Position: leat.Position{ID: "x"}, Malformed: &leat.Malformed{Reason: errBoom}})
		time.Sleep(2 * time.Minute)
		r.stopClean()
		do := ` do="mend the program that sends them, or set the adapter's Mapping where they are meant to be so"`
		const msg = `level=ERROR msg="message is not a CloudEvent; no handler gets it" position=`
		assert.Equal(t, []string{
			`at=0s ` + msg + `0 poison_topic=orders.billing.poison error="malformed JSON at byte 0: \"0\""` + do,
			`at=0s ` + msg + `x poison_topic=orders.billing.poison error=boom` + do,
			`at=1m0s ` + msg + `99 poison_topic=orders.billing.poison error="malformed JSON at byte 99: \"99\""` + do + ` more=98`,
			`at=2m0s level=INFO msg="consumer stopped"`,
		}, log.lines(t))
	})
}

// A Consumer that runs again tells what it counts as it did in its first run.
func TestTheLogOfAnotherRunIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		c := leat.NewConsumer(b, testSub, failTimes(0, nil), &leat.ConsumerOptions{Logger: log.logger(),
			PoisonQueue: poisonFunc(func(context.Context, leat.Poisoned) error { return nil })})
		for run := range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			for range 100 {
				b.deliverRaw(leat.Delivery{Lease: leat.NewLease(), Malformed: &leat.Malformed{Reason: errBoom}})
			}
			time.AfterFunc(2*time.Minute, func() { assert.Len(t, log.lines(t), 3*run+2, "told a minute later, and not at the end") })
			require.NoError(t, leat.Run(ctx, c))
			assert.Len(t, log.lines(t), 3*run+3)
		}
	})
}

// Kinds of reasons are counted apart, as long as there are not too many at a time: those of an hour
// ago do not count.
func TestTheLogForgetsKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		r := start(t, b, failTimes(0, nil), &leat.ConsumerOptions{Logger: log.logger(), PoisonQueue: poisonFunc(
			func(context.Context, leat.Poisoned) error { return nil })})
		for i := range 60 {
			reason := errors.New(strings.Repeat("x", i+1)) // a kind of its own
			b.deliverRaw(leat.Delivery{Lease: leat.NewLease(), Malformed: &leat.Malformed{Reason: reason}})
			if i%20 == 19 {
				time.Sleep(time.Hour)
			}
		}
		r.stopClean()
		lines := log.lines(t)
		assert.Len(t, lines, 61, "one for each kind, and the end")
	})
}

func TestTheLogHasAPauseAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		paused := false
		r := start(t, b, func(context.Context, leat.Event) error {
			if paused {
				return nil
			}
			paused = true
			return leat.Pause(10*time.Second, errors.New("the database is down"))
		}, &leat.ConsumerOptions{Logger: log.logger(), Concurrency: 1})
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(20 * time.Second)
		r.consumer.Pause()
		r.consumer.Pause()
		time.Sleep(5 * time.Second)
		r.consumer.Resume()
		r.consumer.Resume()
		synctest.Wait()
		r.stopClean()
		assert.Equal(t, []string{
			`at=0s level=WARN msg="consumer paused" by="a handler" until=2000-01-01T00:00:10Z type=com.example.test id=1 ` +
				`error="the database is down"`,
			`at=10s level=INFO msg="consumer continues after a pause" paused=10s`,
			`at=20s level=WARN msg="consumer paused" by=Consumer.Pause`,
			`at=25s level=INFO msg="consumer continues after a pause" paused=5s`,
			`at=25s level=INFO msg="consumer stopped"`,
		}, log.lines(t))
	})
}

func TestTheLogHasALostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		r := start(t, b, func(ctx context.Context, _ leat.Event) error { <-ctx.Done(); return ctx.Err() },
			&leat.ConsumerOptions{Logger: log.logger()})
		lost, idle := leat.NewLease(), leat.NewLease()
		b.deliver(lost, event(t, "1", "k"), event(t, "2", "k"))
		synctest.Wait()
		lost.End(errors.New("the session timed out"))
		idle.End(errors.New("the session timed out"))
		synctest.Wait()
		r.stopClean()
		assert.Equal(t, []string{
			`at=0s level=WARN msg="lease lost; its unfinished events are handled again" in_flight=2 error="the session timed out"`,
			`at=0s level=INFO msg="consumer stopped"`,
		}, log.lines(t))
	})
}

func TestTheLogHasAStallAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, release := newFakeBroker(), newLogged(), make(chan struct{})
		r := start(t, b, func(context.Context, leat.Event) error { <-release; return nil },
			&leat.ConsumerOptions{Logger: log.logger(), MaxInFlight: 2, StallAfter: 30 * time.Second})
		b.deliver(leat.NewLease(), event(t, "1", ""), event(t, "2", ""), event(t, "3", ""))
		time.Sleep(time.Hour)
		close(release)
		synctest.Wait()
		r.stopClean()
		assert.Equal(t, []string{
			`at=30s level=ERROR msg="consumer stalled: events that do not finish use up its limits" ` +
				`in_flight=2 bytes=158 parked=0 running=2 refused=0`,
			`at=1h0m0s level=INFO msg="consumer receives again"`,
			`at=1h0m0s level=INFO msg="consumer stopped"`,
		}, log.lines(t))
	})
}

func TestTheLogHasAnOutageAndItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log, began := newFakeBroker(), newLogged(), time.Now()
		r := start(t, b, func(context.Context, leat.Event) error {
			if time.Since(began) < time.Minute {
				return &leat.Error{Op: "publish", Topic: "bills", Code: leat.CodeUnavailable, Err: errBoom}
			}
			return nil
		}, &leat.ConsumerOptions{Logger: log.logger()})
		b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "j"))
		time.Sleep(3 * time.Minute)
		r.stopClean()
		lines := log.lines(t)
		require.Len(t, lines, 3)
		assert.Contains(t, lines[0], `at=0s level=WARN msg="a handler cannot publish; its event waits, and no attempt is counted" `+
			`type=com.example.test`)
		assert.Contains(t, lines[0], ` error="leat: publish topic \"bills\": unavailable: boom"`)
		assert.Contains(t, lines[1], `level=INFO msg="no event waits any more for a publish of its handler"`)
	})
}

// A Consumer whose log nobody reads works as others do.
func TestALogThatIsOffCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBroker()
		r := start(t, b, failTimes(1, leat.RetryAfter(time.Second, errBoom)), nil)
		b.deliver(leat.NewLease(), event(t, "1", "k"))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"1 ack"}, b.settlements())
		r.stopClean()
	})
}

// A logger may look at the Consumer that it logs for.
func TestALoggerMayAskTheConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *leat.Consumer
		b := newFakeBroker()
		logger := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			if c != nil {
				c.Health()
				c.Stats()
			}
			return len(p), nil
		}), nil))
		r := start(t, b, failTimes(2, leat.Pause(time.Second, errBoom)), &leat.ConsumerOptions{Logger: logger, MaxInFlight: 1, StallAfter: 1})
		c = r.consumer
		b.deliver(leat.NewLease(), event(t, "1", "k"), event(t, "2", "k"))
		time.Sleep(time.Minute)
		r.consumer.Pause()
		r.consumer.Resume()
		r.stopClean()
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestTheEndOfAStallIsLoggedAtOnce, and not with the next event.
func TestTheEndOfAStallIsLoggedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, log := newFakeBroker(), newLogged()
		lease := leat.NewLease()
		b.deliver(lease, batchEvents(t, "a")...)
		slow := func(context.Context, leat.Event) error { time.Sleep(time.Minute); return nil }
		r := start(t, b, slow, &leat.ConsumerOptions{MaxInFlight: 1, Logger: log.logger()})
		settle(10 * time.Minute)
		text := strings.Join(log.lines(t), "\n")
		assert.Contains(t, text, "consumer stalled")
		assert.Contains(t, text, "consumer receives again")
		r.stopClean()
	})
}
