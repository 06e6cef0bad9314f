package publish_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/require"
)

// What the model knows of an event.
const (
	inLine = iota
	waits
	isBegun
	isLapsed
	isOver
)

type item struct {
	event   leat.Event
	call    *request
	index   int
	state   int
	outcome string
	taken   time.Time
	entry   *entry
}

// request is a Publish of the model.
type request struct {
	items   []*item
	next    int // of the items, the first that is in line
	turn    bool
	told    *outcomes
	cancel  context.CancelFunc
	refused bool
}

func (r *request) live() bool { return !r.refused && r.next < len(r.items) }

// world is a ledger with a queue, and the model of both.
type world struct {
	t        *testing.T
	l        *ledger
	queue    publish.Queue[int]
	mu       sync.Mutex
	accepted []*entry // since the last step, in the order of the queue

	calls  []*request
	line   []*request
	taken  []*item // admitted, in order
	queued []*item
	closed bool
	end    context.CancelFunc // of the ctx of Close
	ended  chan struct{}
}

const (
	modelEvents = 5
	modelBytes  = 1500
)

func (w *world) size() (events, bytes int) {
	for _, i := range w.taken {
		if i.state != isOver {
			events++
			bytes += i.event.Size()
		}
	}
	return events, bytes
}

func (w *world) finish(i *item, outcome string) {
	if i.state == waits {
		w.unqueue(i)
	}
	if i.outcome == "" {
		i.outcome = outcome
	}
	i.state = isOver
}

func (w *world) unqueue(i *item) {
	var rest []*item
	for _, other := range w.queued {
		if other != i {
			rest = append(rest, other)
		}
	}
	w.queued = rest
}

// publish begins a Publish of n events.
func (w *world) publish(n, bytes int) {
	r := &request{told: newOutcomes(n)}
	ctx, cancel := context.WithCancel(w.t.Context())
	r.cancel = cancel
	b := w.l.Batch("topic", n, r.told.done)
	for i := range n {
		e := event(w.t, fmt.Sprintf("%d-%d", len(w.calls), i), bytes)
		r.items = append(r.items, &item{event: e, call: r, index: i})
		b.Add(i, e)
	}
	w.calls = append(w.calls, r)
	go w.l.Admit(ctx, b, func(entries []entry) {
		w.mu.Lock() // the queue is in the order in which these come here
		defer w.mu.Unlock()
		for i := range entries {
			w.queue.Push(&entries[i])
			w.accepted = append(w.accepted, &entries[i])
		}
	})
	if w.closed {
		w.refuse(r, "closed")
	} else {
		w.line = append(w.line, r)
	}
}

func (w *world) refuse(r *request, outcome string) {
	r.refused = true
	for _, i := range r.items[r.next:] {
		i.outcome = outcome
	}
	var rest []*request
	for _, other := range w.line {
		if other != r {
			rest = append(rest, other)
		}
	}
	w.line = rest
}

// rotate is the end of the turn of the first in line: who found room for a part goes to the end of
// the line.
func (w *world) rotate() {
	if len(w.line) == 0 || !w.line[0].turn && w.line[0].live() {
		return
	}
	r := w.line[0]
	w.line = w.line[1:]
	r.turn = false
	if r.live() {
		w.line = append(w.line, r)
	}
}

// admitted is the next admission, of whose turn it is.
func (w *world) admitted(e *entry) *item {
	if len(w.line) > 0 && (!w.line[0].live() || w.line[0].items[w.line[0].next].event.ID() != e.Event().ID()) {
		w.rotate()
	}
	require.NotEmpty(w.t, w.line, "%s was admitted, and nobody waits", e.Event().ID())
	r := w.line[0]
	require.True(w.t, r.live(), "%s was admitted, and nobody waits", e.Event().ID())
	i := r.items[r.next]
	require.Equal(w.t, i.event.ID(), e.Event().ID(), "first come, first served")
	r.next++
	r.turn = true
	i.state, i.taken, i.entry = waits, time.Now(), e
	w.taken = append(w.taken, i)
	return i
}

// settle waits until nothing moves and compares the ledger with the model.
func (w *world) settle() {
	synctest.Wait()
	fresh := map[*entry]*item{}
	for _, e := range w.accepted {
		fresh[e] = nil
	}
	for _, e := range publish.Listed(w.l) {
		if _, ok := fresh[e]; ok {
			fresh[e] = w.admitted(e)
		}
	}
	for _, e := range w.accepted {
		require.NotNil(w.t, fresh[e])
		w.queued = append(w.queued, fresh[e])
	}
	w.accepted = nil
	w.rotate()
	events, bytes := w.size()
	require.True(w.t, events <= 1 || events <= modelEvents && bytes <= modelBytes, "%d events, %d bytes are under way", events, bytes)
	if len(w.line) > 0 {
		r := w.line[0]
		size := r.items[r.next].event.Size()
		require.True(w.t, events > 0 && (events >= modelEvents || bytes+size > modelBytes), "there is room for the first in line")
	}
	for _, r := range w.calls {
		told := r.told.list()
		for _, i := range r.items {
			require.Equal(w.t, i.outcome, told[i.index], "the outcome of %s", i.event.ID())
			if i.entry != nil {
				require.Equal(w.t, i.state >= isLapsed, i.entry.Told())
			}
		}
	}
}

// sleep lets time pass, with a stop at every deadline.
func (w *world) sleep(d time.Duration) {
	for until := time.Now().Add(d); ; {
		next := until
		for _, i := range w.taken {
			if due := i.taken.Add(timeout); (i.state == waits || i.state == isBegun) && due.Before(next) {
				next = due
			}
		}
		time.Sleep(time.Until(next))
		for _, i := range w.taken {
			if time.Since(i.taken) < timeout {
				continue
			}
			switch i.state {
			case waits:
				w.finish(i, "unavailable")
			case isBegun:
				i.state, i.outcome = isLapsed, "unknown outcome"
			}
		}
		w.settle()
		if next.Equal(until) {
			return
		}
	}
}

// pick returns an admitted item that is not over, or nil.
func (w *world) pick(n byte) *item {
	var live []*item
	for _, i := range w.taken {
		if i.state != isOver {
			live = append(live, i)
		}
	}
	if len(live) == 0 {
		return nil
	}
	return live[int(n)%len(live)]
}

// step does what two bytes say.
func (w *world) step(what, arg byte) {
	i := w.pick(arg)
	switch what % 10 {
	case 0, 1:
		w.publish(1+int(arg)%7, int(arg/8)*16)
	case 2, 3:
		w.next(arg)
	case 4:
		if i != nil {
			w.done(i, arg)
		}
	case 5:
		if i != nil && (i.state == isBegun || i.state == isLapsed) {
			require.Equal(w.t, i.state == isBegun, w.queue.PutBack(i.entry))
			if i.state == isBegun {
				i.state = waits
				w.queued = append([]*item{i}, w.queued...)
			} else {
				i.state = isOver
			}
		}
	case 6:
		w.sleep(time.Duration(arg) * timeout / 200)
	case 7:
		if len(w.line) > 0 {
			r := w.line[int(arg)%len(w.line)]
			r.cancel()
			w.refuse(r, "canceled")
		}
	case 8:
		w.withdraw(arg)
	case 9:
		switch {
		case arg < 230:
			w.refuseOne(i)
		case !w.closed:
			w.close()
		case arg >= 250:
			w.end()
			w.giveUp()
		}
	}
	w.settle()
}

// next takes the first of the queue, or leaves it there.
func (w *world) next(arg byte) {
	e := w.queue.Next(func(*entry) bool { return arg%8 != 0 })
	if len(w.queued) == 0 || arg%8 == 0 {
		require.Nil(w.t, e)
		return
	}
	first := w.queued[0]
	require.Same(w.t, first.entry, e, "the order of the queue")
	w.queued = w.queued[1:]
	first.state = isBegun
}

func (w *world) done(i *item, arg byte) {
	var err error
	outcome := "ok"
	if arg%3 == 0 {
		err, outcome = refusedWith(leat.CodeConflict), "conflict"
	}
	require.Equal(w.t, i.state != isLapsed, i.entry.Done(err))
	w.finish(i, outcome)
	require.False(w.t, i.entry.Done(errTest))
}

func (w *world) refuseOne(i *item) {
	if i == nil {
		return
	}
	require.Equal(w.t, i.state == waits, i.entry.Refuse(refusedWith(leat.CodeNotFound)))
	if i.state == waits {
		w.finish(i, "not found")
	}
}

func (w *world) withdraw(arg byte) {
	var events []leat.Event
	for n, i := range w.taken {
		if arg>>(n%8)&1 == 0 {
			continue
		}
		events = append(events, i.event)
		if i.state == waits {
			w.finish(i, "canceled")
		}
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	cancel()
	w.l.Withdraw(ctx, "topic", events)
}

func (w *world) close() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.closed, w.end, w.ended = true, cancel, make(chan struct{})
	go func() {
		w.l.Close(ctx)
		close(w.ended)
	}()
	for len(w.line) > 0 {
		w.refuse(w.line[0], "closed")
	}
}

// giveUp is the end of Close.
func (w *world) giveUp() {
	for _, i := range w.taken {
		switch i.state {
		case waits:
			w.finish(i, "closed")
		case isBegun:
			i.state, i.outcome = isLapsed, "unknown outcome"
		}
	}
}

// runModel does what the bytes say with a ledger and with its model.
func runModel(t *testing.T, steps []byte) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, l: publish.New[int](publish.Options{Events: modelEvents, Bytes: modelBytes, Timeout: timeout})}
		for len(steps) >= 2 {
			w.step(steps[0], steps[1])
			steps = steps[2:]
		}
		if !w.closed {
			w.close()
			w.settle()
		}
		w.end()
		w.giveUp()
		w.settle()
		<-w.ended
		for _, r := range w.calls {
			r.cancel()
		}
		for _, i := range w.taken {
			if i.state == isLapsed {
				require.False(t, i.entry.Done(nil), "a late answer")
				w.finish(i, "")
			}
		}
		w.settle()
		events, bytes := w.size()
		require.Zero(t, events+bytes)
	})
}

// TestModel compares random sequences with the model. LEAT_MODEL_RUNS says how many, LEAT_SEED
// repeats one.
func TestModel(t *testing.T) {
	runs := 100
	if n, err := strconv.Atoi(os.Getenv("LEAT_MODEL_RUNS")); err == nil {
		runs = n
	}
	seed := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv("LEAT_SEED"), 10, 64); err == nil {
		seed, runs = n, 1
	}
	for range runs {
		r := rand.New(rand.NewPCG(seed, 0))
		steps := make([]byte, 2*r.IntN(120))
		for i := range steps {
			steps[i] = byte(r.Uint32())
		}
		if !t.Run("", func(t *testing.T) { runModel(t, steps) }) {
			t.Fatalf("LEAT_SEED=%d go test -run '^TestModel$' ./adapterkit/publish", seed)
		}
		seed++
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{0, 6, 2, 1, 4, 0, 6, 200, 9, 240, 9, 255})
	f.Fuzz(func(t *testing.T, steps []byte) {
		runModel(t, steps[:min(len(steps), 400)])
	})
}
