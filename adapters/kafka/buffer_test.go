package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/goroutines"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// silence makes the fake keep its answers to produce requests back until the returned function is
// called. The events are stored then.
func (f *fake) silence(t testing.TB) (speak func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var asleep atomic.Int32
	t.Cleanup(func() {
		cancel()
		// A fake that is closed while a control function wakes may lock up for good (kfake's
		// continueSleptControl), so let all of them wake before.
		assert.Eventually(t, func() bool { return asleep.Load() == 0 }, 10*time.Second, time.Millisecond)
	})
	f.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		asleep.Add(1)
		defer asleep.Add(-1)
		if ctx.Err() == nil {
			f.KeepControl()
			f.SleepControl(func() { <-ctx.Done() })
		}
		return nil, nil, false //nolint:nilnil // the fake goes on itself
	})
	return cancel
}

// buffering opens a broker whose publishes are not answered, and fills its buffer with the events 0
// to n-1, one byte of data each.
func buffering(t *testing.T, n int, o func(*kafka.Options)) (f *fake, b *kafka.Broker, filled *outcomes, speak func()) {
	t.Helper()
	f = newFake(t, kfake.SeedTopics(1, "t"))
	options := quick(f.ListenAddrs()...)
	o(&options)
	b = open(t, options)
	require.NoError(t, publishOne(b, "t", event("first", "k"), 5*time.Second))
	speak = f.silence(t)
	var events []leat.Event
	for i := range n {
		events = append(events, event(strconv.Itoa(i), "k"))
	}
	return f, b, publish(t.Context(), b, "t", events...), speak
}

// waiting begins a publish that has to wait, and returns a channel that is closed when it returned.
func waiting(ctx context.Context, b leat.Broker, events ...leat.Event) (o *outcomes, returned chan struct{}) {
	o = &outcomes{errs: make([]error, len(events)), told: make([]int, len(events)), left: len(events), all: make(chan struct{})}
	returned = make(chan struct{})
	go func() {
		b.Publish(ctx, "t", events, o.done)
		close(returned)
	}()
	return o, returned
}

// inLine returns how many goroutines of waiting have got in line for room.
func inLine() (n int) {
	for _, stack := range goroutines.Now() {
		head, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(head, "[select") && strings.Contains(stack, "kafka_test.waiting") && strings.Contains(stack, "publish.(*Ledger") {
			n++
		}
	}
	return n
}

func assertWaits(t testing.TB, returned chan struct{}) {
	t.Helper()
	select {
	case <-returned:
		assert.Fail(t, "Publish returned though the buffer is full")
	case <-time.After(100 * time.Millisecond):
	}
}

func assertReturns(t testing.TB, returned chan struct{}, d time.Duration) {
	t.Helper()
	select {
	case <-returned:
	case <-time.After(d):
		assert.Fail(t, "Publish did not return", "within %v", d)
	}
}

// TestBufferIsBounded fills the buffer by count and by bytes.
func TestBufferIsBounded(t *testing.T) {
	size := event("0", "k").Size()
	for name, set := range map[string]func(*kafka.Options){
		"events": func(o *kafka.Options) { o.Buffer = 3 },
		"bytes":  func(o *kafka.Options) { o.BufferBytes = 3*size + size/2 },
	} {
		t.Run(name, func(t *testing.T) {
			f, b, filled, speak := buffering(t, 3, set)
			late, returned := waiting(t.Context(), b, event("3", "k"), event("4", "k"))
			assertWaits(t, returned)
			speak()
			assertReturns(t, returned, 5*time.Second)
			for _, o := range []*outcomes{filled, late} {
				errs, err := o.wait(5 * time.Second)
				require.NoError(t, err)
				for _, err := range errs {
					assert.NoError(t, err)
				}
			}
			ids, err := stored("t", f.ListenAddrs()...)
			require.NoError(t, err)
			assert.Equal(t, [][]string{{"first", "0", "1", "2", "3", "4"}}, ids)
		})
	}
}

// TestBufferWaitEndsWithContext ends the context of a publish that waits for room: it is refused
// within 250 ms, and the others go on.
func TestBufferWaitEndsWithContext(t *testing.T) {
	_, b, filled, speak := buffering(t, 2, func(o *kafka.Options) { o.Buffer = 2 })
	ctx, cancel := context.WithCancel(t.Context())
	given, returned := waiting(ctx, b, event("given up", "k"), event("given up too", "k"))
	assertWaits(t, returned)
	next, nextReturned := waiting(t.Context(), b, event("2", "k"))
	assertWaits(t, nextReturned)
	begin := time.Now()
	cancel()
	errs, err := given.wait(250 * time.Millisecond)
	require.NoError(t, err)
	assertReturns(t, returned, 250*time.Millisecond)
	assert.Less(t, time.Since(begin), 250*time.Millisecond)
	for _, err := range errs {
		code(t, leat.CodeCanceled, err)
	}
	speak()
	for _, o := range []*outcomes{filled, next} {
		errs, err := o.wait(5 * time.Second)
		require.NoError(t, err)
		for _, err := range errs {
			assert.NoError(t, err)
		}
	}
}

// TestBufferIsFair lets many publishes wait: they get their room in the order in which they came, a
// large one too. Those that have it at the same time, at most as many as the buffer takes, go on
// beside each other.
func TestBufferIsFair(t *testing.T) {
	f, b, _, speak := buffering(t, 4, func(o *kafka.Options) { o.Buffer, o.BufferBytes = 4, 4000 })
	var all []*outcomes
	want := []string{"first", "0", "1", "2", "3"}
	for i := range 20 {
		id, n := fmt.Sprintf("w%02d", i), 1
		if i%4 == 0 {
			n = 3500 // fits only where nothing else is
		}
		o, returned := waiting(t.Context(), b, sized(id, "k", n))
		require.Eventually(t, func() bool { return inLine() == i+1 }, 10*time.Second, time.Millisecond, "it is in line before the next comes")
		select {
		case <-returned:
			assert.Fail(t, "Publish returned though the buffer is full")
		default:
		}
		all, want = append(all, o), append(want, id)
	}
	speak()
	for _, o := range all {
		errs, err := o.wait(10 * time.Second)
		require.NoError(t, err)
		assert.NoError(t, errs[0])
	}
	ids, err := stored("t", f.ListenAddrs()...)
	require.NoError(t, err)
	require.Len(t, ids, 1)
	require.ElementsMatch(t, want, ids[0])
	for place, id := range ids[0] {
		assert.InDelta(t, slices.Index(want, id), place, 3, "%s in %v", id, ids[0])
	}
}

// TestLateAnswer lets answers come after the DeliveryTimeout: the outcome is unknown, once; until
// the answer comes the events take up room.
func TestLateAnswer(t *testing.T) {
	f, b, filled, speak := buffering(t, 2, func(o *kafka.Options) { o.Buffer, o.DeliveryTimeout = 2, time.Second })
	begin := time.Now()
	errs, err := filled.wait(5 * time.Second)
	require.NoError(t, err)
	assert.InDelta(t, 1.0, time.Since(begin).Seconds(), 0.3)
	for _, err := range errs {
		code(t, leat.CodeUnknown, err)
	}
	late, returned := waiting(t.Context(), b, event("2", "k"))
	assertWaits(t, returned)
	speak()
	errs, err = late.wait(10 * time.Second)
	require.NoError(t, err)
	require.NoError(t, errs[0])
	_, err = filled.wait(0) // no second outcome
	require.NoError(t, err)
	ids, err := stored("t", f.ListenAddrs()...)
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"first", "0", "1", "2"}}, ids)
}

// TestCloseWithoutAnswers closes while publishes have no answer and another waits for room.
func TestCloseWithoutAnswers(t *testing.T) {
	_, b, filled, _ := buffering(t, 2, func(o *kafka.Options) { o.Buffer, o.CloseTimeout = 2, 500*time.Millisecond })
	late, returned := waiting(t.Context(), b, event("2", "k"))
	assertWaits(t, returned)
	begin := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begin), 750*time.Millisecond)
	assertReturns(t, returned, 250*time.Millisecond)
	errs, err := filled.wait(0)
	require.NoError(t, err)
	for _, err := range errs {
		code(t, leat.CodeUnknown, err)
	}
	errs, err = late.wait(0)
	require.NoError(t, err)
	code(t, leat.CodeClosed, errs[0])
	require.NoError(t, b.Close())
	code(t, leat.CodeClosed, publishOne(b, "t", event("3", "k"), time.Second))
}
