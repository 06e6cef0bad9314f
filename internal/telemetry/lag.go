package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/incidents"
)

// The times of a question for lag: an answer is good for freshFor, and is shown until staleAfter
// where there is no newer one. A question ends after askFor, and a collection waits waitFor for it.
const (
	freshFor   = 10 * time.Second
	staleAfter = time.Minute
	askFor     = 10 * time.Second
	waitFor    = time.Second
)

// lags remembers the lag of each group. For each there is at most one question on its way, and at
// most one in freshFor, whoever collects how often.
type lags struct {
	log    incidents.Log
	failed incidents.Line  // a line a minute for a group and a code, however often the broker comes and goes
	ctx    context.Context //nolint:containedctx // of the questions, which outlive a collection
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	entries map[lagKey]*lagEntry
}

type lagKey struct {
	topic, group string
	poison       bool
}

// lagEntry is what is known of one group. The lock of lags guards it.
type lagEntry struct {
	lagKey

	lag    leat.Lag
	at     time.Time     // of the answer; zero while there is none
	tried  time.Time     // of the last question
	busy   chan struct{} // closed when the question that is on its way ends; nil without one
	failed leat.Code     // of the last question; 0 where it did not fail
}

func (l *lags) init(logger *slog.Logger) {
	l.log.Logger, l.entries = logger, map[lagKey]*lagEntry{}
	l.failed = incidents.Line{
		Level: slog.LevelWarn, Message: "the lag of a group cannot be had; its metrics are missing until the broker answers",
		Attributes: "topic group poison_queue error", Most: 1,
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
}

// ask starts the questions that are due and returns what they are about.
func (l *lags) ask(consumers []*leat.Consumer) []*lagEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var asked []*lagEntry
	if l.ctx.Err() != nil {
		return nil
	}
	seen := map[lagKey]bool{}
	for _, c := range consumers {
		sub := c.Subscription()
		if sub.Broadcast {
			continue
		}
		for _, poison := range []bool{false, true} {
			k := lagKey{sub.Topic, sub.Group, poison}
			if seen[k] {
				continue
			}
			seen[k] = true
			e := l.entries[k]
			if e == nil {
				e = &lagEntry{lagKey: k}
				l.entries[k] = e
			}
			asked = append(asked, e)
			if e.busy == nil && (e.tried.IsZero() || time.Since(e.tried) >= freshFor) {
				l.start(e, c)
			}
		}
	}
	maps.DeleteFunc(l.entries, func(k lagKey, e *lagEntry) bool { return !seen[k] && e.busy == nil })
	return asked
}

// start asks in the background. The lock is held.
func (l *lags) start(e *lagEntry, c *leat.Consumer) {
	busy := make(chan struct{})
	e.busy, e.tried = busy, time.Now()
	ask := c.Lag
	if e.poison {
		ask = c.PoisonLag
	}
	l.work.Go(func() {
		ctx, cancel := context.WithTimeout(l.ctx, askFor)
		defer cancel()
		lag, err := safely(ctx, ask)
		if l.note(e, lag, err) {
			l.log.Note(&l.failed, e.topic+" "+e.group+" "+leat.CodeOf(err).String(), func() []any {
				return []any{e.topic, e.group, e.poison, Bounded(err.Error())}
			})
		}
		close(busy)
	})
}

// note takes the answer of a question. It reports whether the log has to tell of it.
func (l *lags) note(e *lagEntry, lag leat.Lag, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.busy = nil
	if err == nil {
		if e.failed = 0; lag.Events != leat.LagUnknown {
			e.lag, e.at = lag, time.Now()
		}
		return false
	}
	code := leat.CodeOf(err)
	if code == leat.CodeUnsupported || code == leat.CodeCanceled || code == e.failed {
		return false
	}
	e.failed = code
	return true
}

// safely asks a broker, whose panic must not end the process.
func safely(ctx context.Context, ask func(context.Context) (leat.Lag, error)) (lag leat.Lag, err error) {
	defer func() {
		if recover() != nil {
			err = &leat.Error{Op: "lag", Code: leat.CodeInternal, Err: errors.New("the broker panicked")}
		}
	}()
	return ask(ctx)
}

// await calls known with each lag that is not too old, when the questions that are on their way
// have ended or the time is over.
func (l *lags) await(ctx context.Context, asked []*lagEntry, known func(e *lagEntry, lag leat.Lag)) {
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	for _, e := range asked {
		l.mu.Lock()
		busy := e.busy
		l.mu.Unlock()
		if busy != nil {
			select {
			case <-busy:
			case <-ctx.Done():
			}
		}
		l.mu.Lock()
		lag, at := e.lag, e.at
		l.mu.Unlock()
		if !at.IsZero() && time.Since(at) < staleAfter {
			known(e, lag)
		}
	}
}

// close ends the questions that are on their way, and there will be no others.
func (l *lags) close() {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.work.Wait()
	l.log.Flush()
}
