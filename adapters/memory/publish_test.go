package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestP1DoneOncePerEvent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		for _, err := range outcomes(t.Context(), t, b, "orders", events(t, "k", 100)...) {
			require.NoError(t, err)
		}
		require.Empty(t, outcomes(t.Context(), t, b, "orders"))
		for _, err := range outcomes(t.Context(), t, b, "bad name", events(t, "k", 3)...) {
			requireCode(t, leat.CodeInvalid, err)
		}
	})
}

func TestP2P3FullQueueBlocksNoLongerThanContext(t *testing.T) {
	bubble(t, &memory.Options{Buffer: 2}, func(t *testing.T, b *memory.Broker) {
		declare(t, b, billing)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		errs := outcomes(ctx, t, b, "orders", events(t, "k", 4)...)
		require.Equal(t, 3*time.Second, time.Since(start), "P3: refused when ctx ends")
		require.NoError(t, errs[0], "part of a call is admitted before the rest waits")
		require.NoError(t, errs[1])
		for _, err := range errs[2:] {
			requireCode(t, leat.CodeCanceled, err)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		requireDepth(t, b, 2, 0)

		ended, end := context.WithCancelCause(t.Context())
		reason := errors.New("reason")
		end(reason)
		err := outcomes(ended, t, b, "orders", events(t, "k", 1)...)[0]
		requireCode(t, leat.CodeCanceled, err)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, reason)
	})
}

func TestP4ConfirmedMeansEveryGroupHasIt(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		shipping := leat.Subscription{Topic: "orders", Group: "shipping", Unordered: true}
		s1, s2 := open(t, b, billing), open(t, b, shipping)
		b.Publish(t.Context(), "orders", events(t, "k", 1), func(_ int, err error) {
			require.NoError(t, err)
			require.Equal(t, []string{"k-0"}, ids(receive(t, s1, 1)), "done runs without a lock")
			require.Equal(t, []string{"k-0"}, ids(receive(t, s2, 1)))
		})
	})
}

func TestP5P7RefusedAloneWithCode(t *testing.T) {
	bubble(t, &memory.Options{MaxEventBytes: 100}, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		errs := outcomes(t.Context(), t, b, "orders",
			event(t, "a", "k", 1), event(t, "big", "k", 200), event(t, "b", "k", 1), leat.Event{}, event(t, "c", "k", 1))
		require.NoError(t, errors.Join(errs[0], errs[2], errs[4]))
		requireCode(t, leat.CodeTooLarge, errs[1])
		require.Contains(t, errs[1].Error(), `event "big"`)
		requireCode(t, leat.CodeInvalid, errs[3])
		require.Equal(t, []string{"a", "b", "c"}, ids(receive(t, s, 3)))
		require.Equal(t, 100, b.Limits().MaxEventBytes)
	})
}

func TestP6OrderOfOneCallAndBetweenCalls(t *testing.T) {
	bubble(t, &memory.Options{Buffer: 3}, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		var wg sync.WaitGroup
		for call := range 4 { // each waits behind the one before
			wg.Go(func() {
				batch := events(t, "k", 5)
				for i := range batch {
					batch[i] = event(t, fmt.Sprint(call*5+i), "k", 1)
				}
				publish(t, b, batch...)
			})
			synctest.Wait()
		}
		for i := range 20 {
			d := receive(t, s, 1)
			require.Equal(t, []string{fmt.Sprint(i)}, ids(d))
			settle(s, ack, d...)
		}
		wg.Wait()
	})
}

func TestP8NoSecondOutcome(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		declare(t, b, billing)
		calls := 0
		b.Publish(t.Context(), "orders", events(t, "k", 1), func(int, error) { calls++ })
		b.Crash()
		require.NoError(t, b.Close())
		synctest.Wait()
		require.Equal(t, 1, calls)
	})
}

func TestP9EventsBelongToTheCaller(t *testing.T) {
	bubble(t, nil, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		batch := events(t, "k", 3)
		publish(t, b, batch...)
		clear(batch)
		require.Equal(t, []string{"k-0", "k-1", "k-2"}, ids(receive(t, s, 3)))
	})
}

func TestFullTimeoutRefuses(t *testing.T) {
	bubble(t, &memory.Options{Buffer: 1, FullTimeout: 5 * time.Second}, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		start := time.Now()
		errs := outcomes(t.Context(), t, b, "orders", events(t, "k", 3)...)
		require.NoError(t, errs[0])
		requireCode(t, leat.CodeExhausted, errs[1])
		require.ErrorContains(t, errs[1], `group "billing" has no room`)
		requireCode(t, leat.CodeExhausted, errs[2])
		require.Equal(t, 5*time.Second, time.Since(start))

		// A call that goes on, if slowly, is patient.
		done := make(chan []error)
		sent := events(t, "k", 4)
		go func() { done <- outcomes(context.Background(), t, b, "orders", sent...) }()
		for range 5 {
			time.Sleep(4 * time.Second)
			settle(s, ack, receive(t, s, 1)...)
		}
		require.NoError(t, errors.Join(<-done...))
	})
}

func TestBufferBytes(t *testing.T) {
	bubble(t, &memory.Options{BufferBytes: 1000, FullTimeout: time.Second}, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, billing)
		publish(t, b, event(t, "huge", "", 5000))
		err := outcomes(t.Context(), t, b, "orders", event(t, "small", "", 1))[0]
		requireCode(t, leat.CodeExhausted, err)
		settle(s, ack, receive(t, s, 1)...)
		publish(t, b, event(t, "one", "", 600))
		requireCode(t, leat.CodeExhausted, outcomes(t.Context(), t, b, "orders", event(t, "two", "", 600))[0])
		publish(t, b, event(t, "three", "", 100))
	})
}

func TestABroadcastStreamThatClosesMakesRoom(t *testing.T) {
	bubble(t, &memory.Options{Buffer: 1}, func(t *testing.T, b *memory.Broker) {
		s := open(t, b, leat.Subscription{Topic: "orders", Broadcast: true})
		done := make(chan []error)
		sent := events(t, "k", 3)
		go func() { done <- outcomes(context.Background(), t, b, "orders", sent...) }()
		synctest.Wait()
		require.NoError(t, s.Close(t.Context()))
		require.NoError(t, errors.Join(<-done...))
	})
}

func TestCloseAndCrashEndWaitingPublishes(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(b *memory.Broker)
		code leat.Code
	}{
		{"close: certainly not stored", func(b *memory.Broker) { _ = b.Close() }, leat.CodeClosed},
		{"crash: outcome unknown", (*memory.Broker).Crash, leat.CodeUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, &memory.Options{Buffer: 1}, func(t *testing.T, b *memory.Broker) {
				declare(t, b, billing)
				done := make(chan []error, 2)
				for range 2 {
					sent := events(t, "k", 2)
					go func() { done <- outcomes(context.Background(), t, b, "orders", sent...) }()
					synctest.Wait()
				}
				start := time.Now()
				c.end(b)
				first, second := <-done, <-done
				if first[0] != nil {
					first, second = second, first
				}
				require.NoError(t, first[0])
				for _, err := range []error{first[1], second[0], second[1]} {
					requireCode(t, c.code, err)
				}
				require.Zero(t, time.Since(start))
			})
		})
	}
}
