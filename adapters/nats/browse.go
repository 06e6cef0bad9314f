package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var _ leat.Browser = (*Broker)(nil)

// Browse implements [leat.Browser] for every group. It reads the stream message by message, without
// the group's consumer, from the first one that the consumer waits for to the end. Members of the
// group do not notice it. A server tells how many messages are not acked, and the first of them,
// but not which: where later ones were acked before it, Browse shows those too. So after a replay
// of some of a poison queue, another look shows what was replayed behind the first event that
// stayed. It holds one message in memory.
func (b *Broker) Browse(
	ctx context.Context, sub leat.Subscription, show func(*leat.Delivery) bool,
) error {
	if sub.Broadcast {
		return &leat.Error{Op: "browse", Topic: sub.Topic, Code: leat.CodeUnsupported,
			Err: errors.New("a broadcast keeps nothing that could be shown; browse a group")}
	}
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return err
	}
	defer done()
	v, err := ask(ctx, b, func(ctx context.Context, js jetstream.JetStream) (*browse, error) {
		return b.look(ctx, js, sub)
	})
	if err == nil {
		err = v.read(ctx, show)
	}
	if err != nil {
		return fail(ctx, "browse", sub.Topic, err)
	}
	return nil
}

// browse is one Browse.
type browse struct {
	b         *Broker
	stream    jetstream.Stream
	subject   string
	next, end uint64
	decoder   decoder
}

// look finds out what the group waits for.
func (b *Broker) look(
	ctx context.Context, js jetstream.JetStream, sub leat.Subscription,
) (*browse, error) {
	t := b.topicOf(sub.Topic)
	s, err := js.Stream(ctx, t.stream)
	if err != nil {
		return nil, fmt.Errorf("the stream %q: %w", t.stream, err)
	}
	// The end comes first: what is acked after that is not shown, and what is published is not
	// either.
	v := &browse{
		b: b, stream: s, subject: t.subject, end: s.CachedInfo().State.LastSeq,
		decoder: decoder{topic: sub.Topic, o: &b.o},
	}
	c, err := s.Consumer(ctx, b.consumerConfig(sub, nil).Durable)
	if err != nil {
		return nil, err
	}
	i := c.CachedInfo()
	if v.next = i.AckFloor.Stream + 1; i.NumAckPending == 0 {
		v.next = i.Delivered.Stream + 1
	}
	v.next = max(v.next, s.CachedInfo().State.FirstSeq)
	if i.Config.FilterSubject != "" {
		v.subject = i.Config.FilterSubject
	}
	return v, nil
}

func (v *browse) read(ctx context.Context, show func(*leat.Delivery) bool) error {
	lease := leat.NewLease()
	lease.End(nil)
	for v.next <= v.end {
		m, err := v.get(ctx)
		if err != nil || m == nil || m.Sequence > v.end {
			return err
		}
		v.next = m.Sequence + 1
		d := leat.Delivery{Lease: lease, Position: leat.Position{Offset: int64(m.Sequence)}}
		for _, own := range storedHeaders() {
			m.Header.Del(own)
		}
		v.decoder.decode(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, m.Time, &d)
		if !show(&d) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// storedHeaders are what a server adds to a message that it is asked for.
func storedHeaders() []string {
	return []string{
		jetstream.StreamHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer,
		jetstream.SubjectHeader,
	}
}

// missingFor is how long a message may be missing on a server that is behind the stream's leader.
const missingFor = time.Second

// get returns the next message from v.next on, nil where there is none.
func (v *browse) get(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	stream, next, subject := v.stream, v.next, jetstream.WithGetMsgSubject(v.subject)
	for began := time.Now(); ; {
		m, err := ask(ctx, v.b, func(ctx context.Context, _ jetstream.JetStream) (*jetstream.RawStreamMsg, error) {
			return stream.GetMsg(ctx, next, subject)
		})
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return m, err
		}
		if time.Since(began) > missingFor {
			return nil, nil //nolint:nilnil // the rest was deleted
		}
		if !lifecycle.Sleep(ctx, missingFor/20) {
			return nil, context.Cause(ctx)
		}
	}
}

// Assigned reports whether the stream delivers what comes: not while it waits for messages that are
// older. [leat.RunUntilIdle] asks it. A stream that stands by does not know it, and is idle.
func (s *Stream) Assigned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pin.barrier == nil
}
