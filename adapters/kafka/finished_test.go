package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stuckID is the id of the event that keeps failing.
const stuckID = "stuck"

var errStuck = errors.New("the event that keeps failing")

// tally counts by id how often an event was handled.
type tally struct {
	tries atomic.Int64 // of the stuck one
	heal  atomic.Bool  // lets it succeed

	mu    sync.Mutex
	times map[string]int
}

func (l *tally) note(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.times == nil {
		l.times = map[string]int{}
	}
	l.times[id]++
}

// counts returns how many events were handled, and how many times more than once they were in all.
func (l *tally) counts() (distinct, again int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.times {
		again += n - 1
	}
	return len(l.times), again
}

func (l *tally) await(t *testing.T, distinct int) {
	t.Helper()
	assert.Eventually(t, func() bool { n, _ := l.counts(); return n >= distinct }, livePatience, 10*time.Millisecond, "not all was handled")
}

// handle is the handler of a stuckMember.
func (l *tally) handle(_ context.Context, e leat.Event) error {
	if e.ID() == stuckID && !l.heal.Load() {
		l.tries.Add(1)
		return errStuck
	}
	l.note(e.ID())
	return nil
}

// startStuckMember starts a consumer that retries without end.
func startStuckMember(t *testing.T, o kafka.Options, sub leat.Subscription, handle leat.HandlerFunc) *member {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	m := &member{stop, make(chan error, 1)}
	b, err := kafka.New(&o)
	require.NoError(t, err)
	retry := middleware.Retry(&middleware.RetryOptions{InitialDelay: 20 * time.Millisecond, MaxDelay: 50 * time.Millisecond, NoLimit: true})
	consumer := leat.NewConsumer(b, sub, handle, &leat.ConsumerOptions{
		Concurrency: 8, MaxInFlight: restartInFlight, Middleware: []leat.Middleware{retry},
	})
	go func() {
		err := leat.Run(ctx, consumer)
		_ = b.Close()
		m.done <- err
	}()
	return m
}

// stuckTopic has one partition with the event that keeps failing at its beginning; publish adds
// others behind it.
type stuckTopic struct {
	t      *testing.T
	broker *kafka.Broker
	sub    leat.Subscription
	n      int
}

func newStuckTopic(t *testing.T, addrs []string) *stuckTopic {
	t.Helper()
	sub := leat.Subscription{Topic: liveTopic(t, liveAdmin(t, addrs...), 1), Group: liveName(t)}
	s := &stuckTopic{t, liveBroker(t, liveOptions(addrs...)), sub, 0}
	e, err := leat.NewEvent("live", &leat.EventOptions{ID: stuckID, Source: "/live", Key: stuckID})
	require.NoError(t, err)
	require.NoError(t, livePublish(t.Context(), s.broker, s.sub.Topic, e))
	return s
}

func (s *stuckTopic) publish(n int) {
	s.t.Helper()
	require.NoError(s.t, livePublish(s.t.Context(), s.broker, s.sub.Topic, liveEvents(s.t, s.n, s.n+n, 97)...))
	s.n += n
}

// checkLag checks how far the group is behind, when that is committed.
func (s *stuckTopic) checkLag(want int64) {
	s.t.Helper()
	var last []leat.LagPart
	require.Eventually(s.t, func() bool {
		lag, err := s.broker.Lag(s.t.Context(), s.sub.Topic, s.sub.Group)
		last = lag.Parts
		return err == nil && last[0].Events == want
	}, livePatience, 10*time.Millisecond, "the lag should be %d", want)
	d := last[0].Details
	assert.Equal(s.t, d["end"]-d["committed"], last[0].Events+d["finished"], "%+v", last[0])
}

// TestFinishedAboveARetryOverRestarts: what was handled above an event that keeps failing is not
// handled again after a stop in order, however often that happens.
func TestFinishedAboveARetryOverRestarts(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]kafka.Protocol{"classic": kafka.ProtocolClassic, "consumer": kafka.ProtocolConsumer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := brokertest.Kafka(t)
			o := liveOptions(addrs...)
			o.Protocol = protocol
			topic := newStuckTopic(t, addrs)
			rounds := times(4, 20)
			var book tally
			for range rounds {
				m := startStuckMember(t, o, topic.sub, book.handle)
				defer m.stop()
				topic.publish(times(1_000, 10_000) / rounds)
				book.await(t, topic.n)
				tries := book.tries.Load()
				require.Eventually(t, func() bool { return book.tries.Load() > tries }, livePatience, time.Millisecond)
				m.close(t)
				topic.checkLag(1)
			}
			_, again := book.counts()
			assert.Zero(t, again, "handled again of %d", topic.n)
			book.heal.Store(true)
			m := startStuckMember(t, o, topic.sub, book.handle)
			book.await(t, topic.n+1)
			topic.checkLag(0)
			m.close(t)
			_, again = book.counts()
			assert.Zero(t, again, "handled again of %d", topic.n)
		})
	}
}

// TestFinishedAboveARetryOverRebalances: the same when the partition goes to another member.
func TestFinishedAboveARetryOverRebalances(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := newStuckTopic(t, addrs)
	var book tally
	rounds := times(4, 20)
	var old *member
	for range rounds {
		m := startStuckMember(t, liveOptions(addrs...), topic.sub, book.handle)
		defer m.stop()
		topic.publish(times(1_000, 10_000) / rounds)
		book.await(t, topic.n)
		if old != nil {
			old.close(t)
		}
		old = m
	}
	tries := book.tries.Load()
	require.Eventually(t, func() bool { return book.tries.Load() > tries }, livePatience, time.Millisecond)
	topic.checkLag(1)
	old.close(t)
	_, again := book.counts()
	assert.Zero(t, again, "handled again of %d", topic.n)
}

// stuckVariable has, for a process that is only a consumer with an event that keeps failing, what
// it consumes.
const stuckVariable = "LEAT_KAFKA_STUCK"

// TestStuckConsumerProcess is no test but the program that TestFinishedAboveARetryOverKills kills.
func TestStuckConsumerProcess(t *testing.T) {
	if os.Getenv(stuckVariable) == "" {
		t.Skip("it is run by TestFinishedAboveARetryOverKills")
	}
	c := processConfigOf(t, stuckVariable)
	sub := leat.Subscription{Topic: c.Topic, Group: c.Group}
	m := startStuckMember(t, processOptions(c.Addrs), sub, func(_ context.Context, e leat.Event) error {
		if e.ID() == stuckID {
			return errStuck
		}
		_, _ = fmt.Fprintf(os.Stdout, "handled %s %d\n", e.ID(), time.Now().UnixNano())
		return nil
	})
	require.NoError(t, <-m.done)
}

// TestFinishedAboveARetryOverKills: after a kill, at most that is handled again which was not
// committed yet.
func TestFinishedAboveARetryOverKills(t *testing.T) {
	t.Parallel()
	addrs := brokertest.Kafka(t)
	topic := newStuckTopic(t, addrs)
	var book ledger
	c := processConfig{Addrs: addrs, Topic: topic.sub.Topic, Group: topic.sub.Group}
	rounds := times(2, 20)
	for range rounds {
		c.Who++
		p := startProcessOf(t, "TestStuckConsumerProcess", stuckVariable, c, &book)
		topic.publish(times(1_000, 10_000) / rounds)
		require.Eventually(t, func() bool { return book.distinct() >= topic.n }, 2*livePatience, 10*time.Millisecond)
		topic.checkLag(1) // all is committed
		p.kill()
	}
	_, again, _ := book.verdict(topic.n)
	assert.Zero(t, again, "handled again of %d", topic.n)
	c.Who++
	p := startProcessOf(t, "TestStuckConsumerProcess", stuckVariable, c, &book)
	topic.publish(1_000)
	require.Eventually(t, func() bool { return book.distinct() >= topic.n-500 }, 2*livePatience, time.Millisecond)
	at := time.Now()
	p.kill()
	allowed := restartInFlight + book.since(c.Who, at.Add(-2*time.Second))
	c.Who++
	p = startProcessOf(t, "TestStuckConsumerProcess", stuckVariable, c, &book)
	require.Eventually(t, func() bool { return book.distinct() >= topic.n }, 2*livePatience, 10*time.Millisecond)
	topic.checkLag(1)
	p.kill()
	lost, again, _ := book.verdict(topic.n)
	assert.Zero(t, lost)
	assert.LessOrEqual(t, again, allowed, "handled again of %d", topic.n)
	t.Logf("%d events, %d handled twice, %d allowed", topic.n, again, allowed)
}
