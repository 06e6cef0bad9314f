package gcppubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	eventsOfPull  = 100                    // MaxInFlight that is worth a pull more
	longestPing   = 30 * time.Second       // without a ping Pub/Sub ends a pull
	longestAnswer = 15 * time.Second       // a ping without an answer ends it as well
	endOfPull     = 500 * time.Millisecond // for what is on its way when a pull ends
	endOfSilence  = 30 * time.Second       // likewise, when the server does not answer; until then a new pull would not help
)

// pull is a streaming pull, which is opened again and again. It never outlives its ask.
//
// When a message comes nobody knows for how long it was on its way, and its ack deadline began when
// it was sent. So a pull sends a ping from time to time. Pub/Sub answers in order: what comes after
// the answer was sent after the ping, and its lease counts from that. An emulator does not answer:
// there, a call on the same connection is the ping.
type pull struct {
	s      *Stream
	number int
	id     string // of the client, the same when the pull is opened again
	share  size   // of the limits of the stream
	asked  size   // that Pub/Sub may send and that is not settled, when the pull was opened last
	grow   growth
	want   *lease.Want[string, string]
	going  context.Context // ends when the ask is to end
	decode decoder
	pings  *pings // since the pull was opened last

	canceled atomic.Bool // by the pull itself, since it was opened last
}

// ask consumes until the stream is quiet, or has lost something.
func (s *Stream) ask(ctx context.Context, want lease.Want[string, string]) error {
	n := 1
	if s.caps.Order == leat.OrderNone {
		n = min(s.b.o.Pulls, 1+s.sub.MaxInFlight/eventsOfPull)
	}
	for len(s.clients) < n {
		s.clients = append(s.clients, rand.Text())
	}
	going, over := context.WithCancel(ctx)
	defer over()
	go func() {
		defer over()
		select {
		case <-want.Stop:
		case <-want.Lost:
		case <-going.Done():
		}
	}()
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			p := &pull{
				s: s, number: i, id: s.clients[i], want: &want, going: going, decode: decoder{topic: s.sub.Topic, mapping: s.b.o.Mapping},
			}
			p.share = size{max(s.sub.MaxInFlight/n, 1), max(s.sub.MaxInFlightBytes/n, 1)}
			p.run(ctx)
		})
	}
	running.Wait()
	return nil
}

// run opens the pull until the ask is to end.
func (p *pull) run(ctx context.Context) {
	var pause lifecycle.Pause
	for p.going.Err() == nil {
		began := time.Now()
		err := p.session(ctx)
		if p.going.Err() != nil {
			return
		}
		long := time.Since(began) > time.Second
		if err != nil && (!long || !p.usual(err)) {
			p.s.note(p.number, err)
		}
		if p.s.sub.Broadcast && codeOf(err) == leat.CodeNotFound {
			p.renew()
		}
		if long {
			pause.Reset()
		}
		if !pause.Sleep(p.going) || !p.gather() {
			return
		}
	}
}

// renew creates the subscription of a broadcast again, which nobody else would.
func (p *pull) renew() {
	ctx, cancel := p.s.b.bounded(p.going)
	defer cancel()
	_, err := p.s.b.createBroadcast(ctx, p.s.sub, p.s.name)
	if err != nil && p.going.Err() == nil && codeOf(err) != leat.CodeConflict { // another pull has created it
		p.s.note(p.number, err)
	}
}

// usual reports whether a pull on which something came has ended as Pub/Sub ends pulls from time to
// time. If more is wrong, the next pull shows it.
func (p *pull) usual(err error) bool {
	return p.pings.heardAny() && status.Code(err) == codes.Unavailable
}

// session is one streaming pull. A nil error says that there is nothing wrong.
func (p *pull) session(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.pings = &pings{}
	p.canceled.Store(false)
	out, err := p.s.b.outlets.take()
	if err != nil {
		return err
	}
	defer p.s.b.outlets.giveBack(out)
	opening := context.AfterFunc(p.going, cancel) // it waits while a connection is made
	stream, err := out.StreamingPull(ctx, gax.WithGRPCOptions(
		grpc.MaxCallRecvMsgSize(mostReceived), grpc.ForceCodecV2(codec{})))
	if !opening() || err != nil {
		return err
	}
	p.ask(p.room())
	p.pings = &pings{answered: time.Now()} // nothing is on its way yet
	err = stream.Send(&pb.StreamingPullRequest{
		Subscription: p.s.name, ClientId: p.id, StreamAckDeadlineSeconds: int32(p.s.b.o.AckDeadline / time.Second),
		MaxOutstandingMessages: int64(p.asked.events), MaxOutstandingBytes: int64(p.asked.bytes), ProtocolVersion: 1,
	})
	if err != nil && !errors.Is(err, io.EOF) { // then Recv says why
		return err
	}
	full, done := make(chan struct{}), make(chan struct{})
	var keeping sync.WaitGroup
	keeping.Go(func() { p.keep(ctx, cancel, out, stream, full, done) })
	defer keeping.Wait()
	defer close(done)
	err = p.receive(stream, full)
	if errors.Is(err, io.EOF) || p.canceled.Load() && status.Code(err) == codes.Canceled {
		return nil // the end of the pull was its own
	}
	return err
}

// late is a message that came after a loss.
type late struct {
	id, ackID string
	asked     time.Time
}

// receive reads until the pull ends. full is closed when more has come than there is room for: not
// every server counts what it sends.
//
// What comes after a loss is given back, but not before the pull has ended: on a pull that goes on
// it would come again at once.
func (p *pull) receive(stream pb.Subscriber_StreamingPullClient, full chan struct{}) error {
	var behind []late
	defer func() {
		for _, m := range behind {
			p.s.Arrived(m.id, m.ackID, m.asked, &leat.Delivery{}, 0)
		}
	}()
	closed := false
	for {
		var r response
		if err := stream.RecvMsg(&r); err != nil {
			return err
		}
		p.s.note(p.number, nil)
		asked, lost, came := p.pings.hear(time.Now()), p.lost(), false
		err := fields(r.ReadOnlyData(), func(field protowire.Number, value []byte, _ uint64) error {
			switch field {
			case 1:
				m, err := p.decode.parse(value)
				switch came = true; {
				case err != nil:
					return err
				case lost:
					behind = append(behind, late{m.id, m.ackID, asked})
				default:
					var d leat.Delivery
					size := p.decode.decode(m, &d)
					p.s.Arrived(m.id, m.ackID, asked, &d, size)
				}
			case 4:
				var is pb.StreamingPullResponse_SubscriptionProperties
				if err := proto.Unmarshal(value, &is); err != nil {
					return err
				}
				p.s.compare(&is)
			}
			return nil
		})
		r.Free()
		if err != nil {
			return err
		}
		if !came && p.pings.pong() {
			p.s.b.answers.Store(true)
		}
		if _, bytes := p.s.Room(); !closed && !lost && (p.s.Crowded() || bytes < -p.s.sub.MaxInFlightBytes) {
			closed = true
			close(full)
		}
	}
}

// lost reports whether the stream has lost something.
func (p *pull) lost() bool {
	select {
	case <-p.want.Lost:
		return true
	default:
		return false
	}
}

// keep sends pings, and ends the pull when the ask is over, when more has come than there is room
// for, or when nothing is answered.
func (p *pull) keep(
	ctx context.Context, cancel context.CancelFunc, out *outlet, stream pb.Subscriber_StreamingPullClient, full, done <-chan struct{},
) {
	term := p.s.b.o.AckDeadline
	tick := time.NewTicker(min(longestPing, term/5))
	defer tick.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	p.ping(stream) // its answer shows that all is well
	wait := endOfPull
	for ended := false; !ended; {
		select {
		case <-tick.C:
			if p.silent(min(longestAnswer, term/2)) {
				ended, wait = true, endOfSilence
				continue
			}
			if p.grows() {
				ended = true
				continue
			}
			if p.pings.beginCall(p.s.b.answers.Load()) {
				calls.Go(func() { p.call(ctx, out, term/5) })
			}
			p.ping(stream)
		case <-done:
			return
		case <-p.want.Stop:
			ended = true
		case <-p.want.Lost:
			if ended = true; p.pings.waits() {
				wait = endOfSilence
			}
		case <-full:
			ended = true
		}
	}
	_ = stream.CloseSend() // the server sends what is on its way, and ends the pull
	end := time.NewTimer(wait)
	defer end.Stop()
	stop := p.want.Stop
	for {
		select {
		case <-stop:
			stop = nil
			end.Reset(endOfPull)
			continue
		case <-end.C:
			p.canceled.Store(true)
			cancel()
		case <-done:
		}
		return
	}
}

// silent reports whether nothing came for too long.
func (p *pull) silent(most time.Duration) bool {
	silent := p.pings.silent(time.Now(), most)
	if silent {
		p.s.note(p.number, &leat.Error{Code: leat.CodeUnavailable, Err: fmt.Errorf("Pub/Sub did not answer for %v", most)})
	}
	return silent
}

// ping sends a ping, unless one is under way.
func (p *pull) ping(stream pb.Subscriber_StreamingPullClient) {
	if p.pings.begin(time.Now()) {
		_ = stream.Send(&pb.StreamingPullRequest{}) // Recv says what is wrong
	}
}

// call extends nothing, which any server answers, with an error or not.
func (p *pull) call(ctx context.Context, out *outlet, timeout time.Duration) {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := out.ModifyAckDeadline(ctx, &pb.ModifyAckDeadlineRequest{Subscription: p.s.name})
	answered := err == nil || !waits(err)
	if answered {
		p.s.note(p.number, nil)
	}
	p.pings.endCall(asked, answered)
}

// note notes what is wrong with a pull, and nil when something came.
func (s *Stream) note(number int, err error) {
	s.mu.Lock()
	was := s.pulling.Has(number)
	if err != nil || was {
		s.pulling.Set(number, err)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		code := codeOf(err).String()
		s.unread.Wrong("a subscription cannot be pulled", code, explain(err), s.about(slog.String("code", code))...)
	case was:
		s.unread.Well("a subscription can be pulled again", s.about()...)
	}
}
