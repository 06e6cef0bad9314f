package cloudevents_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/protocol"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/cloudevents"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bench is a client of the SDK on a broker in memory. Tests run in a bubble, where time is fake.
type bench struct {
	t        *testing.T
	broker   *memory.Broker
	protocol *cloudevents.Protocol
	client   client.Client
}

const (
	benchTopic = "orders"
	benchGroup = "billing"
)

var benchSubscription = leat.Subscription{Topic: benchTopic, Group: benchGroup}

func newBench(t *testing.T, o cloudevents.Options) *bench {
	t.Helper()
	broker := memory.New(nil)
	o.Topic, o.Subscription = benchTopic, benchSubscription
	if o.Consumer.PoisonQueue == nil {
		o.Consumer.PoisonQueue = middleware.PoisonQueue(leat.NewProducer(broker, nil), nil)
	}
	p, err := cloudevents.New(broker, &o)
	require.NoError(t, err)
	c, err := sdk.NewClient(p, client.WithPollGoroutines(2))
	require.NoError(t, err)
	require.NoError(t, leat.Declare(t.Context(), broker, benchSubscription))
	t.Cleanup(func() {
		assert.NoError(t, p.Close(context.Background()))
		assert.NoError(t, broker.Close())
	})
	return &bench{t, broker, p, c}
}

// start runs the client's receiver. stop ends it, and returns what StartReceiver returned.
func (b *bench) start(fn any) (stop func() error) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.client.StartReceiver(ctx, fn) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

func (b *bench) send(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		require.NoError(b.t, b.client.Send(b.t.Context(), plainEvent(id)))
	}
}

// unsettled returns how many events of the group are not acknowledged.
func (b *bench) unsettled() int {
	b.t.Helper()
	queued, unsettled, err := b.broker.Depth(benchTopic, benchGroup)
	require.NoError(b.t, err)
	return queued + unsettled
}

// poisoned returns the ids in the poison queue.
func (b *bench) poisoned() (ids []string) {
	b.t.Helper()
	stream, err := b.broker.Subscribe(b.t.Context(), leat.Subscription{Topic: "orders.billing.poison", Group: leat.ReplayGroup}.WithDefaults())
	require.NoError(b.t, err)
	defer func() { assert.NoError(b.t, stream.Close(context.Background())) }()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
	defer cancel()
	for {
		into := make([]leat.Delivery, 10)
		n, err := stream.Receive(ctx, into)
		if err != nil {
			return ids
		}
		for _, d := range into[:n] {
			p, err := leat.PoisonedFrom(d.Event)
			require.NoError(b.t, err)
			ids = append(ids, p.Event.ID())
		}
	}
}

func plainEvent(id string) sdk.Event {
	e := sdk.NewEvent()
	e.SetID(id)
	e.SetSource("/s")
	e.SetType("t")
	e.SetExtension("partitionkey", "k")
	return e
}

func TestClientSendsAndReceives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{})
		sent, err := cloudevents.ToSDK(decoded(t, []byte(`{"a": 1}`), "partitionkey", "k", "time", "2026-01-02T03:04:05+02:00"))
		require.NoError(t, err)
		require.NoError(t, b.client.Send(t.Context(), sent))
		got := make(chan sdk.Event, 1)
		stop := b.start(func(ctx context.Context, e sdk.Event) {
			info, ok := leat.InfoFrom(ctx)
			assert.True(t, ok)
			assert.Equal(t, benchTopic, info.Topic)
			assert.Equal(t, 1, info.Attempt)
			assert.Equal(t, 1, b.unsettled(), "nothing is acknowledged before the receiver has returned")
			got <- e
		})
		assert.Equal(t, sent.String(), (<-got).String())
		synctest.Wait()
		assert.Zero(t, b.unsettled())
		assert.Equal(t, leat.Healthy, b.protocol.Health().State)
		require.NoError(t, stop())
		assert.Equal(t, leat.Stopped, b.protocol.Health().State)
	})
}

// TestOutcomeOfTheReceiver: what it returns is what happens to the event.
func TestOutcomeOfTheReceiver(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for _, c := range []struct {
		name     string
		outcome  func() error // of the first attempt
		attempts int
		poisoned bool
	}{
		{"nil", func() error { return nil }, 1, false},
		{"ACK", func() error { return protocol.ResultACK }, 1, false},
		{"ACK with a reason", func() error { return protocol.NewReceipt(true, "%w", failed) }, 1, false},
		{"NACK", func() error { return protocol.ResultNACK }, 2, false},
		{"error", func() error { return failed }, 2, false},
		{"canceled", func() error { return context.Canceled }, 2, false},
		{"RetryAfter", func() error { return leat.RetryAfter(time.Hour, failed) }, 2, false},
		{"Pause", func() error { return leat.Pause(time.Hour, failed) }, 2, false},
		{"Reject", func() error { return leat.Reject(failed) }, 1, true},
		{"Reject in a NACK", func() error { return protocol.NewReceipt(false, "%w", leat.Reject(failed)) }, 1, true},
		{"panic", func() error { panic("failed") }, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, cloudevents.Options{})
				b.send("1")
				var attempts atomic.Int32
				stop := b.start(func(sdk.Event) error {
					if attempts.Add(1) > 1 {
						return nil
					}
					return c.outcome()
				})
				time.Sleep(2 * time.Hour) // in fake time
				assert.EqualValues(t, c.attempts, attempts.Load())
				assert.Zero(t, b.unsettled())
				require.NoError(t, stop())
				if c.poisoned {
					assert.Equal(t, []string{"1"}, b.poisoned())
				} else {
					assert.Empty(t, b.poisoned())
				}
			})
		})
	}
}

// TestReceiverMayChangeItsEvent: another attempt, and another group, get it as it was sent.
func TestReceiverMayChangeItsEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{})
		e := plainEvent("1")
		require.NoError(t, e.SetData("text/plain", "abc"))
		require.NoError(t, b.client.Send(t.Context(), e))
		var attempts atomic.Int32
		stop := b.start(func(got sdk.Event) error {
			assert.Equal(t, e.String(), got.String())
			copy(got.DataEncoded, "xyz")
			got.SetID("other")
			got.SetExtension("partitionkey", "other")
			if attempts.Add(1) < 3 {
				return errors.New("again")
			}
			return nil
		})
		time.Sleep(time.Hour) // in fake time
		assert.EqualValues(t, 3, attempts.Load())
		require.NoError(t, stop())
	})
}

// TestOrderByKeyAndConcurrency: the client starts a goroutine for each message, and has only one of
// a key at a time even so, and no more than Concurrency.
func TestOrderByKeyAndConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{Consumer: leat.ConsumerOptions{Concurrency: 3}})
		const keys, events = 5, 20
		for i := range events {
			e := plainEvent(fmt.Sprint(i))
			e.SetExtension("partitionkey", fmt.Sprint(i%keys))
			require.NoError(t, b.client.Send(t.Context(), e))
		}
		var mu sync.Mutex
		last, running, most := map[string]int{}, 0, 0
		stop := b.start(func(e sdk.Event) error {
			key, n := e.Extensions()["partitionkey"].(string), 0
			_, err := fmt.Sscan(e.ID(), &n)
			assert.NoError(t, err)
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second) // in fake time
			mu.Lock()
			defer mu.Unlock()
			running--
			if before, ok := last[key]; ok {
				assert.Equal(t, before+keys, n)
			}
			last[key] = n
			return nil
		})
		time.Sleep(time.Minute) // in fake time
		require.NoError(t, stop())
		assert.Zero(t, b.unsettled())
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, 3, most)
		assert.Len(t, last, keys)
	})
}

// TestDrain: when the client stops, the receiver's context lives on, what it finishes is
// acknowledged, and the rest goes back without counting as a failure: with a limit of one attempt a
// failure would be in the poison queue.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{Consumer: leat.ConsumerOptions{
			Concurrency: 2, Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})},
		}})
		for i := range 6 {
			e := plainEvent(fmt.Sprint(i))
			e.SetExtension("partitionkey", nil)
			require.NoError(t, b.client.Send(t.Context(), e))
		}
		var began, done atomic.Int32
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- b.client.StartReceiver(ctx, func(inner context.Context, _ sdk.Event) error {
				if began.Add(1) == 2 {
					cancel()
				}
				select {
				case <-time.After(10 * time.Second):
				case <-inner.Done():
					return inner.Err()
				}
				if done.Add(1) == 1 {
					return ctx.Err() // a receiver that looks at the context of StartReceiver
				}
				return nil
			})
		}()
		require.NoError(t, <-ended)
		assert.EqualValues(t, 2, began.Load())
		assert.EqualValues(t, 2, done.Load())
		assert.Equal(t, 5, b.unsettled())
		assert.Empty(t, b.poisoned())

		seen := make(chan string, 10)
		stop := b.start(func(e sdk.Event) { seen <- e.ID() })
		synctest.Wait()
		assert.Len(t, seen, 5)
		require.NoError(t, stop())
	})
}

// TestNothingIsHeldThatNobodyReceives: an event that waits for a Receive goes back when the
// Protocol stops.
func TestNothingIsHeldThatNobodyReceives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{Consumer: leat.ConsumerOptions{
			Middleware: []leat.Middleware{middleware.Retry(&middleware.RetryOptions{MaxAttempts: 1})},
		}})
		b.send("1", "2")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.protocol.OpenInbound(ctx) }()
		synctest.Wait()
		began := time.Now()
		cancel()
		require.NoError(t, <-ended)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, 2, b.unsettled())
		assert.Empty(t, b.poisoned())
	})
}

func TestReceiverThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{Consumer: leat.ConsumerOptions{ShutdownTimeout: time.Minute}})
		b.send("1")
		release := make(chan struct{})
		stop := b.start(func(ctx context.Context, _ sdk.Event) {
			<-ctx.Done() // at the ShutdownTimeout
			<-release
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.protocol.Close(ctx)
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "%v", err)
		time.Sleep(2 * time.Minute) // in fake time
		require.NoError(t, b.protocol.Close(t.Context()), "the second time there is nothing to wait for")
		close(release)
		err = stop()
		assert.Equal(t, leat.CodeHandler, leat.CodeOf(err), "%v", err)
		assert.Equal(t, 1, b.unsettled())
	})
}

// TestLostLease: the receiver's context ends, and what it returns does not count.
func TestLostLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{})
		b.send("1")
		var attempts atomic.Int32
		stop := b.start(func(ctx context.Context, _ sdk.Event) error {
			if attempts.Add(1) > 1 {
				return nil
			}
			<-ctx.Done()
			assert.ErrorIs(t, context.Cause(ctx), leat.ErrLeaseLost)
			time.Sleep(time.Minute) // in fake time
			assert.EqualValues(t, 1, attempts.Load(), "the next attempt waits for this one")
			return nil
		})
		require.NoError(t, b.broker.ExpireLeases(benchTopic, benchGroup))
		time.Sleep(time.Hour) // in fake time
		assert.EqualValues(t, 2, attempts.Load())
		assert.Zero(t, b.unsettled())
		require.NoError(t, stop())
	})
}

// TestWhatTheClientNeverSees: what is not an event, and what the SDK would change, is in the poison
// queue and harms nothing.
func TestWhatTheClientNeverSees(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cloudevents.Options{})
		odd := decoded(t, nil, "id", "odd", "source", "HTTP://EX/")
		require.NoError(t, leat.NewProducer(b.broker, nil).Publish(t.Context(), benchTopic, odd))
		require.NoError(t, b.broker.DeliverRaw(benchTopic, leat.Malformed{Body: []byte("x"), Reason: errors.New("no event")}))
		b.send("1")
		seen := make(chan string, 10)
		stop := b.start(func(e sdk.Event) { seen <- e.ID() })
		synctest.Wait()
		assert.Len(t, seen, 1)
		assert.Equal(t, "1", <-seen)
		assert.Zero(t, b.unsettled())
		require.NoError(t, stop())
		poisoned := b.poisoned()
		assert.Len(t, poisoned, 2)
		assert.Contains(t, poisoned, "odd")
	})
}

func TestProtocolIsUsedWrongly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, err := cloudevents.New(nil, nil)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
		broker := memory.New(nil)
		defer func() { assert.NoError(t, broker.Close()) }()
		_, err = cloudevents.New(broker, &cloudevents.Options{Subscription: leat.Subscription{Topic: "a b"}})
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))

		p, err := cloudevents.New(broker, nil)
		require.NoError(t, err)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(p.OpenInbound(t.Context())), "no subscription")
		assert.Equal(t, leat.Healthy, p.Health().State)
		require.NoError(t, p.Close(t.Context()))

		b := newBench(t, cloudevents.Options{})
		err = b.client.StartReceiver(t.Context(), func(e sdk.Event) *sdk.Event { return &e })
		require.ErrorContains(t, err, "Responder", "the SDK refuses a receiver that returns events")
		stop := b.start(func(sdk.Event) {})
		assert.Equal(t, leat.CodeConflict, leat.CodeOf(b.protocol.OpenInbound(t.Context())))
		require.NoError(t, b.protocol.Close(t.Context()))
		_, err = b.protocol.Receive(t.Context())
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, stop())
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(b.protocol.OpenInbound(t.Context())))
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(b.client.Send(t.Context(), plainEvent("1"))))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = b.protocol.Receive(ctx)
		assert.Equal(t, io.EOF, err, "the client compares with ==")
	})
}
