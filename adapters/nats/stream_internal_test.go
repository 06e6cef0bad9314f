package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was not confirmed by a connection that was lost is not wrong with the next one: of what is
// not lent any more, there will be no ack that is confirmed.
func TestAcksAreWellWithANewConnection(t *testing.T) {
	t.Parallel()
	s := streamOf(t)
	s.report(lease.Ack, errSplit)
	require.Error(t, s.unheard.Err)
	s.reconnected()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.unheard.Err)
}

// streamOf returns the stream of an ordered group, with a pin and without a server.
func streamOf(t *testing.T) *Stream {
	t.Helper()
	b := &Broker{o: (&Options{Hosts: []string{"h:1"}}).withDefaults(), streams: map[*Stream]struct{}{}}
	b.link = newLink(&b.o, "consume", newJournal(b.o.Logger), &b.life.Tasks)
	sub := leat.Subscription{Topic: "t", Group: "g"}
	stream, consumer := &jetstream.StreamInfo{}, &jetstream.ConsumerInfo{Name: "g"}
	stream.Config.Name = "t"
	consumer.Config = b.consumerConfig(sub, &stream.Config)
	s := b.newStream(sub.WithDefaults(), stream, consumer)
	s.pin.id = "P"
	t.Cleanup(func() {
		s.keeper.LoseAll(errors.New("the test is over"))
		assert.NoError(t, s.keeper.Close(context.Background()))
		s.cancel()
		b.link.cancel()
	})
	return s
}

// send delivers a message to a stream as a server does.
func send(s *Stream, seq int, pin, data string, headers nats.Header) {
	m := &nats.Msg{
		Subject: "leat.t", Data: []byte(data), Header: nats.Header{pinHeader: {pin}},
		Reply: fmt.Sprintf("$JS.ACK.t.g.1.%d.%d.1700000000000000000.0", seq, seq),
	}
	maps.Copy(m.Header, headers)
	s.arrived(m, s.pulls.session, &decoder{topic: "t", o: &s.b.o})
}

func held(s *Stream) (events int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, _ = s.held()
	return events
}

// TestStatusOfAPublisher: an empty message with a header Status is a message.
func TestStatusOfAPublisher(t *testing.T) {
	t.Parallel()
	s := streamOf(t)
	send(s, 1, "P", "", nats.Header{"Status": {"shipped"}})
	assert.Equal(t, 1, held(s))
	assert.NoError(t, s.lost.Err)
}

// consumers is a JetStream of one consumer, which is asked for.
type consumers struct {
	jetstream.JetStream

	ask func(ctx context.Context) *jetstream.ConsumerInfo
}

type consumer struct {
	jetstream.Consumer

	info *jetstream.ConsumerInfo
}

func (c consumer) CachedInfo() *jetstream.ConsumerInfo { return c.info }

func (c consumers) Consumer(ctx context.Context, _, _ string) (jetstream.Consumer, error) {
	return consumer{info: c.ask(ctx)}, nil
}

// TestInfoOutlivesItsCall: what is known too late is not looked at, which the race detector sees.
func TestInfoOutlivesItsCall(t *testing.T) {
	t.Parallel()
	s := streamOf(t)
	s.b.link.isUp, s.b.link.js = true, consumers{ask: func(ctx context.Context) *jetstream.ConsumerInfo {
		<-ctx.Done()
		return &jetstream.ConsumerInfo{}
	}}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if i, err := s.info(ctx); err != nil {
			assert.Nil(t, i)
		}
		cancel()
	}
	s.b.life.Tasks.Wait()
}

// TestLostWhileItLooks: what was lost while the server was asked is missing, whatever it answers.
func TestLostWhileItLooks(t *testing.T) {
	t.Parallel()
	s := streamOf(t)
	s.pin.barrier = &barrier{since: time.Now()}
	send(s, 1, "P", "x", nil)
	send(s, 2, "P", "x", nil)
	s.b.link.isUp, s.b.link.js = true, consumers{ask: func(context.Context) *jetstream.ConsumerInfo {
		s.keeper.Lose(errors.New("its term is over"), s.pin.early[0].of.lent)
		return &jetstream.ConsumerInfo{
			NumAckPending:  2,
			PriorityGroups: []jetstream.PriorityGroupState{{Group: pinGroup, PinnedClientID: "P"}},
		}
	}}
	s.look()
	assert.NotNil(t, s.pin.barrier)
	events, _ := s.book.Held()
	require.Zero(t, events, "the second waits for the first")
}

// TestUnpinnedMeanwhile: what was admitted under a pin that is lost is not delivered.
func TestUnpinnedMeanwhile(t *testing.T) {
	t.Parallel()
	s := streamOf(t)
	lent, fresh := s.keeper.Take(1, time.Now(), receipt{subject: "$JS.ACK"})
	require.True(t, fresh)
	d := leat.Delivery{Lease: lent.Lease()}
	s.pin.id = "Q"
	assert.False(t, s.keep(&d, &message{lent: lent, seq: 1, size: 1}, "P"))
	assert.Zero(t, held(s))
	assert.True(t, s.keep(&d, &message{lent: lent, seq: 1, size: 1}, "Q"))
	assert.Equal(t, 1, held(s))
}
