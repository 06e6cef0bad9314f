package leat_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quietBroker is a fakeBroker whose stream fetches ahead, and writes down in which order it is told
// things.
type quietBroker struct {
	*fakeBroker

	receiving atomic.Int32
	log       *trace
}

func (b *quietBroker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	s, err := b.fakeBroker.Subscribe(ctx, sub)
	return &quietStream{s, b}, err
}

type quietStream struct {
	leat.Stream

	b *quietBroker
}

func (s *quietStream) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	s.b.receiving.Add(1)
	defer s.b.receiving.Add(-1)
	n, err := s.Stream.Receive(ctx, into)
	if err != nil {
		s.b.log.add("received last")
	}
	return n, err
}

func (s *quietStream) Quiesce() {
	s.b.log.add("quiesced, %d receive", s.b.receiving.Load())
}

func (s *quietStream) Settle(d *leat.Delivery, how leat.Settlement) {
	s.b.log.add("%s %d", d.Event.ID(), how.Action)
	s.Stream.Settle(d, how)
}

func (s *quietStream) Close(ctx context.Context) error {
	s.b.log.add("closed")
	return s.Stream.Close(ctx)
}

// Q1: Quiesce comes once, when Receive has returned for good, and before anything is given back on
// the way to Close.
func TestConsumerQuiescesBeforeItGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &quietBroker{fakeBroker: newFakeBroker(), log: newTrace()}
		lease := leat.NewLease()
		b.deliver(lease, event(t, "runs", "k"), event(t, "waits", "k"), event(t, "other", ""))
		r := start(t, b, func(_ context.Context, e leat.Event) error {
			if e.ID() == "other" {
				return leat.RetryAfter(time.Hour, errBoom)
			}
			time.Sleep(time.Second)
			return nil
		}, nil)
		r.stopClean()
		assert.Equal(t, []string{"received last", "quiesced, 0 receive"}, b.log.all()[:2])
		assert.ElementsMatch(t, []string{"waits 2", "other 2"}, b.log.all()[2:4])
		assert.Equal(t, []string{"runs 1", "closed"}, b.log.all()[4:])
	})
}

// A stream that is over by itself is told as well: what is unsettled is given back to it all the
// same.
func TestConsumerQuiescesAStreamThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &quietBroker{fakeBroker: newFakeBroker(), log: newTrace()}
		r := start(t, b, func(context.Context, leat.Event) error { return nil }, nil)
		b.fail(&leat.Error{Op: "receive", Code: leat.CodeClosed})
		synctest.Wait()
		require.Error(t, r.stop())
		assert.Len(t, slices.DeleteFunc(b.log.all(), func(line string) bool { return line != "quiesced, 0 receive" }), 1)
	})
}

// Q1 holds for the topic of suspects as well, from which the engine receives by itself.
func TestTheStreamOfSuspectsIsQuiesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(t, 1)
		g.publish(event(t, "suspect", "k"))
		l, r := g.process(3, func(context.Context, leat.Event) error { return nil })
		time.Sleep(time.Minute)
		r.stopClean()
		topics := map[string]bool{}
		for _, s := range l.streams {
			topics[s.sub.Topic] = true
			assert.EqualValues(t, 1, s.quiet.Load(), "stream of %s", s.sub.Topic)
			assert.EqualValues(t, 1, s.over.Load(), "stream of %s: before Close", s.sub.Topic)
		}
		assert.Len(t, topics, 2)
	})
}
