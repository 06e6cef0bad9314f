package scenario

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
)

// losses are about messages that were published, and are gone.
func losses() []Scenario {
	return []Scenario{{
		Name: "kill", Title: "Broker killed under load",
		What: "Four goroutines publish 100 messages per call; the broker is killed (SIGKILL) and started again. Whatever was said to be " +
			"published has to be in the queue, and publishing has to go on within 15 s.",
		run: killed,
	}, {
		Name: "restart", Title: "Transient messages lost by a restart",
		What: "200 messages are published to a durable queue, one after the other; then the broker is restarted in good order. All have to " +
			"be there.",
		run: restarted,
	}, {
		Name: "cut", Title: "Connections closed under load",
		What: "While two goroutines publish and the same process consumes, an administrator closes all connections, 20 times (5 in a short " +
			"run). Whatever was said to be published has to be handled or in the queue, and both have to go on after each within 15 s.",
		run: cut,
	}}
}

// load is a number of goroutines that publish.
type load struct {
	stop context.CancelFunc
	all  sync.WaitGroup
	ok   *ledger
	hung atomic.Int64
}

// publishLoad begins to publish batches.
func publishLoad(ctx context.Context, p party.Peer, goroutines, batch int) *load {
	l := &load{ok: newLedger()}
	ctx, l.stop = context.WithCancel(ctx)
	for g := range goroutines {
		l.all.Go(func() {
			ids := make([]string, batch)
			for n := 0; ctx.Err() == nil; n++ {
				for i := range ids {
					ids[i] = fmt.Sprintf("%d-%d-%d", g, n, i)
				}
				errs, hung := publish(ctx, p, 10*time.Second, time.Second, ids...)
				if hung {
					l.hung.Add(1)
					continue
				}
				failed := false
				for i, err := range errs {
					if err == nil {
						l.ok.add(ids[i])
					}
					failed = failed || err != nil
				}
				if failed {
					pause(ctx, 50*time.Millisecond)
				}
			}
		})
	}
	return l
}

// end stops publishing and waits for the calls that are under way.
func (l *load) end() {
	l.stop()
	l.all.Wait()
}

func killed(ctx context.Context, e *env) (Result, error) {
	t := e.target()
	p, err := e.open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	l := publishLoad(ctx, p, 4, 100)
	pause(ctx, e.seconds(1, 3))
	e.node.Kill()
	pause(ctx, 500*time.Millisecond)
	l.end()
	if err := e.node.Start(ctx); err != nil {
		return Result{}, err
	}
	back, last := again(ctx, p, e.back())
	found, err := stored(ctx, t.URL, t.Queue)
	if err != nil {
		return Result{}, err
	}
	lost := l.ok.missing(found)
	r := Result{
		Held: lost == 0 && back > 0 && l.hung.Load() == 0,
		Seen: fmt.Sprintf("lost %d of %d", lost, l.ok.len()) + sayHung(l.hung.Load()) + sayBack("publishes", back, last),
	}
	return r, nil
}

// again publishes until a message is published, and returns how long that took; 0 means that it
// never was, and why.
func again(ctx context.Context, p party.Peer, most time.Duration) (time.Duration, error) {
	begun := time.Now()
	var last error
	n := 0
	ok := until(ctx, most, func() bool {
		n++
		last = tell(ctx, p, 2*time.Second, fmt.Sprintf("again-%d", n))
		return last == nil
	})
	if !ok {
		return 0, last
	}
	return max(time.Since(begun), 1), nil
}

func sayHung(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; %d calls never returned", n)
}

func sayBack(what string, after time.Duration, last error) string {
	if after > 0 {
		return fmt.Sprintf("; %s again after %.1f s", what, after.Seconds())
	}
	return fmt.Sprintf("; %s nothing more: %s", what, brief(last))
}

// brief is an error for a cell of a table.
func brief(err error) string {
	if err == nil {
		return "no error is told"
	}
	text := []rune(err.Error())
	for i, c := range text {
		if c == '\n' || c == '|' {
			text[i] = ' '
		}
	}
	if len(text) > 100 {
		return string(text[:100]) + "…"
	}
	return string(text)
}

func restarted(ctx context.Context, e *env) (Result, error) {
	t := e.target()
	p, err := e.open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	ok := newLedger()
	for i := range 200 {
		id := strconv.Itoa(i)
		if tell(ctx, p, 10*time.Second, id) == nil {
			ok.add(id)
		}
	}
	if err := e.node.Restart(ctx); err != nil {
		return Result{}, err
	}
	found, err := stored(ctx, t.URL, t.Queue)
	if err != nil {
		return Result{}, err
	}
	lost := ok.missing(found)
	if ok.len() != 200 {
		return Result{}, errors.New("not all messages were published, without any fault")
	}
	return Result{Held: lost == 0, Seen: fmt.Sprintf("lost %d of 200", lost)}, nil
}

// cut is also what the race detector looks at.
func cut(ctx context.Context, e *env) (Result, error) {
	t := e.target()
	p, err := e.open(ctx, t)
	if err != nil {
		return Result{}, err
	}
	handled := newLedger()
	consuming, stop := context.WithCancel(ctx)
	defer stop()
	over := make(chan error, 1)
	go func() {
		over <- p.Consume(consuming, 4, func(_ context.Context, id string) error {
			handled.add(id)
			return nil
		})
	}()
	l := publishLoad(ctx, p, 2, 10)
	cuts := e.count(5, 20)
	seen, went := "", true
	for n := 1; n <= cuts && went; n++ {
		pause(ctx, 300*time.Millisecond)
		if _, err := e.node.CloseConnections(ctx, nil); err != nil {
			return Result{}, err
		}
		pause(ctx, 100*time.Millisecond) // what was under way is over
		published, consumed := l.ok.len(), handled.len()
		went = until(ctx, e.back(), func() bool { return l.ok.len() > published && handled.len() > consumed })
		if !went {
			published, consumed = l.ok.len(), handled.len()
			pause(ctx, 3*time.Second)
			seen = fmt.Sprintf("; after close %d %s", n, stuck(l.ok.len() > published, handled.len() > consumed))
		}
	}
	if went {
		seen = fmt.Sprintf("; went on after each of %d", cuts)
	}
	l.end()
	until(ctx, 10*time.Second, func() bool { return l.ok.missing(handled.snapshot()) == 0 || !went })
	stop()
	pause(ctx, 500*time.Millisecond)
	if _, err := e.node.CloseConnections(ctx, nil); err != nil { // what a consumer holds goes back
		return Result{}, err
	}
	found, err := stored(ctx, t.URL, t.Queue)
	if err != nil {
		return Result{}, err
	}
	lost := l.ok.missing(found, handled.snapshot())
	return Result{
		Held: lost == 0 && went && l.hung.Load() == 0,
		Seen: fmt.Sprintf("lost %d of %d", lost, l.ok.len()) + seen + sayHung(l.hung.Load()),
	}, nil
}

func stuck(published, consumed bool) string {
	switch {
	case published:
		return "it consumes nothing more"
	case consumed:
		return "it publishes nothing more"
	}
	return "it publishes and consumes nothing more"
}

// seconds returns how long to do something.
func (e *env) seconds(short, long int) time.Duration {
	return time.Duration(e.count(short, long)) * time.Second
}

func (e *env) count(short, long int) int {
	if e.long {
		return long
	}
	return short
}

// back is how long a library has to work again after a fault.
func (e *env) back() time.Duration { return e.seconds(15, 15) }
