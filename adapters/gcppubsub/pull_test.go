package gcppubsub_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// take receives n deliveries.
func take(t *testing.T, s leat.Stream, n int) []leat.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	all, into := make([]leat.Delivery, 0, n), make([]leat.Delivery, 1)
	for len(all) < n {
		_, err := s.Receive(ctx, into)
		require.NoError(t, err, "%d came of %d", len(all), n)
		all = append(all, into[0])
	}
	return all
}

// ack settles deliveries.
func ack(s leat.Stream, all []leat.Delivery) {
	for i := range all {
		s.Settle(&all[i], leat.Settlement{Action: leat.Ack})
	}
}

// TestAPullAsksForWhatHasRoom: what is held still counts when a pull is opened again. Later the
// pull is opened for more.
func TestAPullAsksForWhatHasRoom(t *testing.T) {
	t.Parallel()
	const most, part = 100, 30
	opened := make(chan *pb.StreamingPullRequest, 10)
	var pulls atomic.Int32
	f := &stub{pull: func(s *pulling, first *pb.StreamingPullRequest) error {
		opened <- first
		if pulls.Add(1) > 1 {
			return s.serve(nil)
		}
		for i := range most {
			if err := s.deliver(message(fmt.Sprint(i), fmt.Sprint(i), "")); err != nil {
				return err
			}
		}
		return nil
	}}
	sub := billing()
	sub.MaxInFlight = most
	s := startStub(t, f, sub, gcppubsub.Options{})
	first := <-opened
	held := take(t, s, most)
	ack(s, held[:part])
	again := <-opened
	assert.LessOrEqual(t, again.GetMaxOutstandingMessages(), int64(part))
	assert.Positive(t, again.GetMaxOutstandingMessages())
	assert.Equal(t, first.GetClientId(), again.GetClientId())
	ack(s, held[part:])
	for again.GetMaxOutstandingMessages() < most {
		select {
		case again = <-opened:
		case <-time.After(brokertest.Patience):
			require.Failf(t, "the pull is not opened for more", "it has %d", again.GetMaxOutstandingMessages())
		}
	}
}

// TestNoLoopAfterALoss: what comes after a loss goes back once the pull has ended, since a server
// that does not end it would deliver the same on it again and again.
func TestNoLoopAfterALoss(t *testing.T) {
	t.Parallel()
	again, opened := make(chan struct{}, 100), make(chan struct{}, 10)
	var sent atomic.Int32
	f := &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		opened <- struct{}{}
		if err := s.deliver(message("first", "first", "a")); err != nil {
			return err
		}
		for {
			select {
			case <-s.pings:
				if err := s.pong(); err != nil {
					return err
				}
			case <-again:
				sent.Add(1)
				if err := s.deliver(message("second", "second", "b")); err != nil {
					return err
				}
			case <-s.Context().Done(): // and not when the client has closed
				return nil
			}
		}
	}, settle: func(ids []string, deadline int32) error {
		if deadline > 0 {
			return nil
		}
		again <- struct{}{}
		if deadline == 0 {
			return nil
		}
		lost, err := status.New(codes.FailedPrecondition, "some ids").WithDetails(&errdetails.ErrorInfo{Metadata: map[string]string{
			ids[0]: "PERMANENT_FAILURE_INVALID_ACK_ID",
		}})
		if err != nil {
			return err
		}
		return lost.Err()
	}}
	s := startStub(t, f, billing(), gcppubsub.Options{})
	<-opened
	ack(s, take(t, s, 1))
	<-opened
	assert.LessOrEqual(t, sent.Load(), int32(2), "once, and once more on the next pull")
}

// TestTheUsualEndOfAPull: Pub/Sub ends pulls with UNAVAILABLE from time to time. That is a fault
// only where the next pull cannot be opened.
func TestTheUsualEndOfAPull(t *testing.T) {
	t.Parallel()
	end, opened, refuse := make(chan struct{}), make(chan struct{}, 100), atomic.Bool{}
	f := &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		opened <- struct{}{}
		if !refuse.Load() {
			_ = s.serve(end)
		}
		return status.Error(codes.Unavailable, "the server closes it to reassign resources")
	}}
	var log brokertest.Logbook
	s := startStub(t, f, billing(), gcppubsub.Options{Logger: log.Logger()})
	health := func() error { return s.(*gcppubsub.Stream).Health() }
	for range 2 {
		<-opened
		<-time.After(1100 * time.Millisecond) // a pull that ends at once is a fault
		end <- struct{}{}
	}
	<-opened
	require.NoError(t, health())
	assert.Empty(t, log.With("WARN"))
	refuse.Store(true)
	end <- struct{}{}
	require.Eventually(t, func() bool { return leat.CodeOf(health()) == leat.CodeUnavailable }, brokertest.Patience, time.Millisecond)
}

// TestCloseWhileConnecting: a stream that holds nothing is closed at once, also where a pull is
// about to be opened and nobody answers.
func TestCloseWhileConnecting(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	proxy, err := eventtest.StartProxy(f.Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	b, err := gcppubsub.New(&gcppubsub.Options{
		Project: project, Endpoint: "http://" + proxy.Addr(), DialTimeout: time.Minute, CloseTimeout: time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	s, err := b.Subscribe(t.Context(), billing())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.pulls.Load() == 1 }, brokertest.Patience, time.Millisecond)
	dials := proxy.Dials()
	proxy.Freeze()
	proxy.Cut()
	require.Eventually(t, func() bool { return proxy.Dials() > dials }, brokertest.Patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	began := time.Now()
	require.NoError(t, s.Close(ctx))
	assert.Less(t, time.Since(began), brokertest.Patience/3)
}

// TestMessagesAreLife: a server that sends messages is not silent, although its answer to a ping is
// late. The leases of what comes count from a call then, so that none is lost.
func TestMessagesAreLife(t *testing.T) {
	t.Parallel()
	opened, over := make(chan struct{}, 10), make(chan struct{})
	var calls atomic.Int32
	f := &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		opened <- struct{}{}
		<-s.pings
		if err := s.pong(); err != nil { // so that the server is known to answer
			return err
		}
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				if err := s.deliver(message(fmt.Sprint(n), fmt.Sprint(n), "")); err != nil {
					return err
				}
			case <-over:
				return nil
			case <-s.closed:
				return nil
			}
		}
	}, call: func() { calls.Add(1) }}
	var log brokertest.Logbook
	s := startStub(t, f, billing(), gcppubsub.Options{Logger: log.Logger()})
	<-opened
	for began := time.Now(); time.Since(began) < 9*time.Second; { // more than half of an ack deadline
		ack(s, take(t, s, 1))
	}
	assert.Empty(t, log.With("WARN"))
	assert.Empty(t, opened, "it is one pull")
	assert.Positive(t, calls.Load())
	close(over)
}

// TestAPullThatIsShortIsOpenedForMore: one that was opened while events were held has asked for
// less than MaxInFlight. When it has brought as much as it asked for, and the others are settled,
// the room of those is not lost.
func TestAPullThatIsShortIsOpenedForMore(t *testing.T) {
	t.Parallel()
	const most, before = 5, 2
	f := startFake(t)
	b := on(t, f, gcppubsub.Options{AckDeadline: 10 * time.Second})
	sub := billing()
	sub.MaxInFlight = most
	s, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	publish := func(n int) {
		for i := range n {
			require.NoError(t, p.Publish(t.Context(), "orders", event(t, &leat.EventOptions{Key: fmt.Sprint(i)})))
		}
	}
	publish(before)
	held := take(t, s, before)
	pulls := f.pulls.Load()
	f.EndPull()
	require.Eventually(t, func() bool { return f.pulls.Load() > pulls }, brokertest.Patience, time.Millisecond)
	ack(s, held)
	publish(most)
	take(t, s, most)
}

// TestMoreBeforeTheAnswer: Pub/Sub counts an ack at once, and may send the next message before the
// answer to the ack arrives. That is not too much.
func TestMoreBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	const most, rounds = 5, 20
	next, answer, opened := make(chan struct{}, rounds), make(chan struct{}), make(chan struct{}, 100)
	f := &stub{pull: func(s *pulling, _ *pb.StreamingPullRequest) error {
		opened <- struct{}{}
		for n := 0; ; n++ {
			if n >= most {
				select {
				case <-next:
				case <-s.closed:
					return nil
				}
			}
			if err := s.deliver(message(fmt.Sprint(n), fmt.Sprint(n), "")); err != nil {
				return err
			}
		}
	}, settle: func(_ []string, deadline int32) error {
		if deadline < 0 {
			next <- struct{}{}
			select {
			case <-answer:
			case <-t.Context().Done():
			}
		}
		return nil
	}}
	sub := billing()
	sub.MaxInFlight = most
	s := startStub(t, f, sub, gcppubsub.Options{})
	held := take(t, s, most)
	for range rounds {
		ack(s, held[:1])
		held = append(held[1:], take(t, s, 1)...)
		answer <- struct{}{}
	}
	assert.Len(t, opened, 1, "it is one pull")
}
