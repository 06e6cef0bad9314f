package poisonload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/poison"
)

// queueKeys is how many keys the events of a queue have.
const queueKeys = 100

// Fill puts events "0" to "n-1" into the poison queue of sub, as a consumer does that gives up on
// them, and declares both.
func Fill(tb testing.TB, broker leat.Broker, sub leat.Subscription, n int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	topic := leat.ReplayOf(sub).Topic
	if err := leat.Declare(ctx, broker, sub, leat.ReplayOf(sub)); err != nil {
		tb.Fatal(err)
	}
	events := make([]leat.Event, 0, n)
	for i := range n {
		p := leat.Poisoned{
			Event: good(tb, strconv.Itoa(i), i%queueKeys), Reason: errFirst, At: time.Now(),
			Info: leat.Info{Topic: sub.Topic, Group: sub.Group, Attempt: 1, Position: leat.Position{Offset: int64(i)}},
		}
		e, err := p.AsEvent()
		if err != nil {
			tb.Fatal(err)
		}
		events = append(events, e)
	}
	for some := range slices.Chunk(events, 1000) {
		if err := publish(ctx, broker, topic, some); err != nil {
			tb.Fatal(err)
		}
	}
}

var errFirst = errors.New("first")

// Peek returns the numbers of the events in a poison queue, and fails the test when those of a key
// are out of order, or one has not its first reason.
func Peek(tb testing.TB, broker leat.Broker, sub leat.Subscription) []int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var all []int
	for e, err := range poison.Peek(ctx, broker, sub, nil) {
		if err != nil {
			tb.Fatal(err)
		}
		n, err := strconv.Atoi(e.Event.ID())
		if err != nil || e.Err != nil || e.Reason.Error() != errFirst.Error() {
			tb.Fatalf("%v, %v: %v", e.Event, e.Reason, errors.Join(err, e.Err))
		}
		all = append(all, n)
	}
	return all
}

// ordered fails the test when the numbers of a key do not rise.
func ordered(tb testing.TB, what string, numbers []int) {
	tb.Helper()
	last := map[int]int{}
	for i, n := range numbers {
		if before, ok := last[n%queueKeys]; ok && n <= before {
			tb.Fatalf("%s: %d comes behind %d, at %d of %d", what, n, before, i, len(numbers))
		}
		last[n%queueKeys] = n
	}
}

// Look fills a poison queue with n events and looks at it several times. count returns how many the
// broker's own tools count, waiting and held ones.
func Look(tb testing.TB, broker leat.Broker, sub leat.Subscription, n int, count func() (waiting, held int)) {
	tb.Helper()
	Fill(tb, broker, sub, n)
	counted := func() {
		tb.Helper()
		until(tb.Context(), tb, fmt.Sprintf("the broker counts %d events, all of them waiting", n), func() bool {
			waiting, held := count()
			return waiting == n && held == 0
		})
	}
	counted()
	for round := range 3 {
		began := time.Now()
		all := Peek(tb, broker, sub)
		tb.Logf("look %d: %d events in %v", round, len(all), time.Since(began).Round(time.Millisecond))
		if len(all) != n {
			tb.Fatalf("look %d shows %d of %d events", round, len(all), n)
		}
		ordered(tb, "a look", all)
		counted()
	}
	for range 5 { // looks that end early
		for _, err := range poison.Peek(tb.Context(), broker, sub, nil) {
			if err != nil {
				tb.Fatal(err)
			}
			break
		}
	}
	counted()
}

// Beside replays a poison queue of n events in which every tenth fails again, while the queue is
// looked at all the time. other is another connection to the broker.
func Beside(tb testing.TB, broker, other leat.Broker, sub leat.Subscription, n int) {
	tb.Helper()
	Fill(tb, broker, sub, n)
	var mu sync.Mutex
	var handled []int
	first := map[int]bool{}
	h := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		i, err := strconv.Atoi(e.ID())
		mu.Lock()
		defer mu.Unlock()
		if err == nil && !first[i] { // a duplicate is allowed
			first[i] = true
			handled = append(handled, i)
		}
		if i%10 == 0 {
			return errors.New("again")
		}
		return err
	})
	looking, stop := context.WithCancel(tb.Context())
	var looks int
	var wg sync.WaitGroup
	wg.Go(func() {
		for looking.Err() == nil {
			var all []int
			for e, err := range poison.Peek(looking, other, sub, nil) {
				if looking.Err() != nil {
					return
				}
				if err != nil {
					tb.Error(err)
					return
				}
				i, _ := strconv.Atoi(e.Event.ID())
				if e.Replays == 0 {
					all = append(all, i)
				}
			}
			ordered(tb, "a look beside a replay", all)
			looks++
		}
	})
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	began := time.Now()
	result, err := poison.Replay(ctx, broker, sub, h, &poison.ReplayOptions{Rate: float64(n) / 4})
	stop()
	wg.Wait()
	tb.Logf("%+v in %v, with %d looks beside: %v", result, time.Since(began).Round(time.Millisecond), looks, err)
	if err != nil || result.Replayed < n/10*9 || len(handled) != n {
		tb.Fatalf("%d of %d events were handled", len(handled), n)
	}
	ordered(tb, "a replay that is looked at", handled)
	left := slices.Compact(slices.Sorted(slices.Values(Peek(tb, broker, sub))))
	if len(left) < n/10 {
		tb.Fatalf("%d events are left, and %d failed", len(left), n/10)
	}
	for _, i := range left {
		if i%10 != 0 {
			tb.Logf("%d is left though it was handled; a look took it away while its ack was under way", i)
		}
	}
	empties(ctx, tb, broker, sub)
}

// empties replays what is left in a poison queue until it is empty, which it must not take it for
// before the stream has what it reads from.
func empties(ctx context.Context, tb testing.TB, broker leat.Broker, sub leat.Subscription) {
	tb.Helper()
	result, err := poison.Replay(ctx, broker, sub, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }),
		&poison.ReplayOptions{UntilEmpty: true}) // with its own Idle: a busy machine takes seconds for the first events
	tb.Logf("until it is empty: %+v, %v", result, err)
	if left := Peek(tb, broker, sub); err != nil || len(left) > 0 {
		tb.Fatalf("%d events are left of a queue that was emptied", len(left))
	}
}
