package watermill_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// fakePublisher is a Publisher that a test steers.
type fakePublisher struct {
	publish func(topic string, m *message.Message) error

	mu     sync.Mutex
	closed int
}

func (p *fakePublisher) Publish(topic string, messages ...*message.Message) error {
	return p.publish(topic, messages[0])
}

func (p *fakePublisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed++
	return nil
}

// fakeSubscriber hands out channels that a test feeds.
type fakeSubscriber struct {
	subscribe func(ctx context.Context, topic string) (<-chan *message.Message, error)
}

func (s fakeSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.subscribe(ctx, topic)
}

func (s fakeSubscriber) Close() error { return nil }

func noSubscriber() message.Subscriber {
	return fakeSubscriber{func(context.Context, string) (<-chan *message.Message, error) {
		return nil, errors.New("no subscriber")
	}}
}

func event(t *testing.T, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s", Key: key, Data: []byte(id)})
	require.NoError(t, err)
	return e
}

// outcomes publishes and returns what is reported, which is complete when all is settled in the
// bubble.
func outcomes(b leat.Broker, events ...leat.Event) func() []error {
	var mu sync.Mutex
	errs := make([]error, len(events))
	for i := range errs {
		errs[i] = errors.New("nothing yet")
	}
	b.Publish(context.Background(), "topic", events, func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs[i] = err
	})
	return func() []error {
		mu.Lock()
		defer mu.Unlock()
		return append([]error(nil), errs...)
	}
}

// TestOutcomes: a Publisher's error is of unknown outcome unless Refused knows better, and the
// neighbours are not touched.
func TestOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errKnown, errOther := errors.New("too long"), errors.New("connection lost")
		pub := &fakePublisher{publish: func(_ string, m *message.Message) error {
			switch m.UUID {
			case "refused":
				return errKnown
			case "lost":
				return errOther
			case "panic":
				panic("x")
			}
			return nil
		}}
		for _, inline := range []bool{false, true} {
			b, err := watermill.New(pub, noSubscriber(), &watermill.Options{Inline: inline, Refused: func(err error) leat.Code {
				if errors.Is(err, errKnown) {
					return leat.CodeTooLarge
				}
				return 0
			}})
			require.NoError(t, err)
			got := outcomes(b, event(t, "a", "k"), event(t, "refused", "k"), event(t, "lost", "k"), event(t, "panic", ""), event(t, "b", "k"))
			synctest.Wait()
			codes := make([]leat.Code, 0, 5)
			for _, err := range got() {
				codes = append(codes, leat.CodeOf(err))
			}
			assert.Equal(t, []leat.Code{0, leat.CodeTooLarge, leat.CodeUnknown, leat.CodeUnknown, 0}, codes)
			require.ErrorIs(t, got()[2], errOther)
			require.NoError(t, b.Close())
			require.NoError(t, b.Close(), "twice")
		}
		assert.Equal(t, 2, pub.closed)
	})
}

// TestStuckPublisher: events that the Publisher does not answer are of unknown outcome at the
// DeliveryTimeout, those behind them refused, and nothing is published later.
func TestStuckPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var mu sync.Mutex
		var sent []string
		pub := &fakePublisher{publish: func(_ string, m *message.Message) error {
			mu.Lock()
			sent = append(sent, m.UUID)
			mu.Unlock()
			<-gate
			return nil
		}}
		b, err := watermill.New(pub, noSubscriber(), &watermill.Options{DeliveryTimeout: time.Minute, Buffer: 2})
		require.NoError(t, err)
		got := outcomes(b, event(t, "one", "k"), event(t, "two", "k"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		b.Publish(ctx, "topic", []leat.Event{event(t, "three", "k")}, func(_ int, err error) {
			assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "the buffer is full")
		})
		assert.Equal(t, time.Second, time.Since(began))
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(got()[0]))
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(got()[1]))
		close(gate)
		synctest.Wait()
		assert.Equal(t, []string{"one"}, sent, "what was refused is not published later")
		again := outcomes(b, event(t, "four", "k"))
		synctest.Wait()
		require.NoError(t, again()[0], "there is room again")
		require.NoError(t, b.Close())
	})
}

// TestCloseWhilePublishing: what has no answer at the CloseTimeout is unknown if it was begun, else
// refused.
func TestCloseWhilePublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		pub := &fakePublisher{publish: func(string, *message.Message) error { <-gate; return nil }}
		b, err := watermill.New(pub, noSubscriber(), &watermill.Options{CloseTimeout: time.Second})
		require.NoError(t, err)
		got := outcomes(b, event(t, "one", "k"), event(t, "two", "k"))
		synctest.Wait()
		began := time.Now()
		require.Equal(t, leat.CodeUnavailable, leat.CodeOf(b.Close()), "the Publisher does not close under a call")
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(got()[0]))
		assert.Equal(t, leat.CodeClosed, leat.CodeOf(got()[1]))
		assert.Zero(t, pub.closed)
		close(gate)
		synctest.Wait()
		assert.Equal(t, 1, pub.closed)
	})
}

// TestSubscriptionIsOpenedAgain: a channel that the Subscriber closes ends the lease and not the
// stream, which subscribes once a second.
func TestSubscriptionIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Time
		feeds := make(chan chan *message.Message, 10)
		var last chan *message.Message
		sub := fakeSubscriber{func(context.Context, string) (<-chan *message.Message, error) {
			calls = append(calls, time.Now())
			if len(calls) == 2 {
				return nil, errors.New("down")
			}
			c := make(chan *message.Message, 10)
			feeds <- c
			return c, nil
		}}
		b, err := watermill.New(&fakePublisher{}, sub, &watermill.Options{Order: leat.OrderPerGroup})
		require.NoError(t, err)
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: "g"})
		require.NoError(t, err)
		feed := <-feeds
		m := message.NewMessage("1", nil)
		feed <- m
		into := make([]leat.Delivery, 4)
		n, err := s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		old := into[0]
		close(feed)
		go func() {
			last = <-feeds
			last <- message.NewMessage("2", nil)
		}()
		n, err = s.Receive(t.Context(), into)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		assert.Equal(t, "2", into[0].Event.ID())
		assert.True(t, old.Lease.Ended())
		assert.NotSame(t, old.Lease, into[0].Lease)
		s.Settle(&old, leat.Settlement{Action: leat.Ack})
		assert.False(t, m.Ack(), "it was nacked when its lease ended")
		require.Len(t, calls, 3)
		assert.Equal(t, time.Second, calls[1].Sub(calls[0]))
		assert.Equal(t, time.Second, calls[2].Sub(calls[1]))
		require.NoError(t, b.Health())
		s.Settle(&into[0], leat.Settlement{Action: leat.Ack})
		closing, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(s.Close(closing)), "the channel stays open")
		close(last)
	})
}

func TestOneSubscriberIsOneGroup(t *testing.T) {
	pubSub := gochannel.NewGoChannel(gochannel.Config{}, wm.NopLogger{})
	b, err := watermill.New(pubSub, pubSub, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	ask := func(sub leat.Subscription) leat.Code {
		s, err := b.Subscribe(t.Context(), sub)
		if err == nil {
			require.NoError(t, s.Close(t.Context()))
		}
		return leat.CodeOf(err)
	}
	assert.Equal(t, leat.CodeUnsupported, ask(leat.Subscription{Topic: "t", Group: "a"}), "no order was promised")
	assert.Zero(t, ask(leat.Subscription{Topic: "t", Group: "a", Unordered: true}))
	assert.Equal(t, leat.CodeUnsupported, ask(leat.Subscription{Topic: "t", Group: "b", Unordered: true}))
	assert.Equal(t, leat.CodeUnsupported, ask(leat.Subscription{Topic: "t", Broadcast: true, Unordered: true}))
}

func TestOptionsAreChecked(t *testing.T) {
	pubSub := gochannel.NewGoChannel(gochannel.Config{}, wm.NopLogger{})
	defer func() { require.NoError(t, pubSub.Close()) }()
	groups := watermill.NewGroups(pubSub)
	for name, open := range map[string]func() (*watermill.Broker, error){
		"no publisher":  func() (*watermill.Broker, error) { return watermill.New(nil, pubSub, nil) },
		"no subscriber": func() (*watermill.Broker, error) { return watermill.New(pubSub, nil, nil) },
		"two subscribers": func() (*watermill.Broker, error) {
			return watermill.New(pubSub, pubSub, &watermill.Options{NewSubscriber: groups.Subscriber})
		},
		"lanes": func() (*watermill.Broker, error) { return watermill.New(pubSub, pubSub, &watermill.Options{Lanes: -1}) },
	} {
		_, err := open()
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), name)
	}
}

// TestNothingIsLeft: a Broker with streams, messages on their way and unsettled ones leaves nothing
// behind when it and what is below are closed.
func TestNothingIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	pubSub := gochannel.NewGoChannel(gochannel.Config{}, wm.NopLogger{})
	groups := watermill.NewGroups(pubSub)
	for range 3 {
		b, err := watermill.New(pubSub, nil, &watermill.Options{NewSubscriber: groups.Subscriber, KeepOpen: true})
		require.NoError(t, err)
		for i, group := range []string{"a", "b", "b"} {
			s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: group, Unordered: true})
			require.NoError(t, err)
			done := make(chan error, 5)
			b.Publish(t.Context(), "topic", []leat.Event{event(t, "1", ""), event(t, "2", ""), event(t, "3", "")},
				func(_ int, err error) { done <- err })
			for range 3 {
				require.NoError(t, <-done)
			}
			if i == 2 { // all of them may have gone to the other stream of the group
				continue
			}
			into := make([]leat.Delivery, 1)
			_, err = s.Receive(t.Context(), into)
			require.NoError(t, err)
		}
		require.NoError(t, b.Close())
	}
	require.NoError(t, groups.Close())
	require.NoError(t, pubSub.Close())
}

// TestClosing: Close tells the Publisher before it waits for it.
func TestClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := make(chan struct{})
		pub := &fakePublisher{publish: func(string, *message.Message) error {
			<-closing
			return errors.New("closing")
		}}
		b, err := watermill.New(pub, noSubscriber(), &watermill.Options{Closing: func() { close(closing) }})
		require.NoError(t, err)
		got := outcomes(b, event(t, "1", "k"))
		begun := time.Now()
		require.NoError(t, b.Close())
		assert.Zero(t, time.Since(begun))
		assert.Equal(t, leat.CodeUnknown, leat.CodeOf(got()[0]))
	})
}

// TestLeaseOfAFullStream: a stream that has handed out all it may is told that its channel has
// ended, and reads no more than one message meanwhile.
func TestLeaseOfAFullStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := make(chan *message.Message)
		calls := 0
		sub := fakeSubscriber{func(ctx context.Context, _ string) (<-chan *message.Message, error) {
			if calls++; calls == 1 {
				return feed, nil
			}
			c := make(chan *message.Message)
			context.AfterFunc(ctx, func() { close(c) })
			return c, nil
		}}
		b, err := watermill.New(&fakePublisher{}, sub, &watermill.Options{Order: leat.OrderPerGroup})
		require.NoError(t, err)
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "topic", Group: "g", MaxInFlight: 1})
		require.NoError(t, err)
		got := make(chan leat.Delivery, 10)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(got)
			into := make([]leat.Delivery, 4)
			for {
				n, err := s.Receive(ctx, into)
				if err != nil {
					return
				}
				for _, d := range into[:n] {
					got <- d
				}
			}
		}()
		feed <- message.NewMessage("1", nil)
		first := <-got
		feed <- message.NewMessage("2", nil)
		synctest.Wait()
		select {
		case feed <- message.NewMessage("3", nil):
			t.Error("a second message was read")
		default:
		}
		assert.Empty(t, got, "there is no room for it")
		s.Settle(&first, leat.Settlement{Action: leat.Ack})
		second := <-got
		assert.Equal(t, "2", second.Event.ID())
		assert.False(t, second.Lease.Ended())
		close(feed)
		synctest.Wait()
		assert.True(t, second.Lease.Ended())
		cancel()
		<-got
		require.NoError(t, b.Close())
	})
}
