package gcppubsub

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/googleapis/gax-go/v2"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// publisher sends events in requests. The lanes of topics and keys that have something to send
// share a bounded number of workers.
type publisher struct {
	b        *Broker
	ledger   *publish.Ledger[parcel]
	link     *link
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	encoders sync.Pool

	mu      sync.Mutex
	lanes   map[laneID]*lane // those that are not idle
	ready   []*lane          // that wait for a worker, in order
	workers int
	offline fault.Symptom // until there is a connection
	trouble fault.Symptom // of answers, or of credentials; what is published next shows whether it lasts
	failing fault.Incident
}

// parcel is what is kept for an event.
type parcel struct {
	key string // that orders it
	raw []byte // its message in a request
}

func newPublisher(b *Broker, l *link) *publisher {
	p := &publisher{b: b, link: l, lanes: map[laneID]*lane{}}
	p.encoders.New = func() any { return newEncoder() }
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.failing.Logger = b.o.Logger
	p.ledger = publish.New[parcel](publish.Options{
		Events: b.o.Buffer, Bytes: b.o.BufferBytes, Timeout: b.o.DeliveryTimeout, Trouble: p.wrong,
	})
	return p
}

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound
// (there is no such topic), CodeExhausted (a quota), CodePermissionDenied, CodeUnauthenticated,
// CodeUnsupported, CodeUnavailable (not sent within [Options].DeliveryTimeout), CodeCanceled or
// CodeClosed. CodeUnknown is what was sent and not answered, or answered by any other code of gRPC.
func (b *Broker) Publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
) {
	p, wrong, trace := b.publisher, b.life.RefusePublish(ctx, topic), leat.TraceFrom(ctx)
	c := p.encoders.Get().(*encoder) //nolint:forcetypeassert // nothing else is in it
	defer p.encoders.Put(c)
	p.ledger.Publish(ctx, topic, events, done, func(e leat.Event, value *parcel) error {
		err := cmp.Or(wrong, publish.Check(e, mostEventBytes))
		if err == nil {
			value.key = googlepubsub.OrderingKey(e.Key())
			value.raw, err = c.encode(e, value.key, trace, b.o.Structured)
		}
		return err
	}, func(entries []publish.Entry[parcel]) { p.accept(topic, entries) })
}

// Withdraw implements [leat.Withdrawer].
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.publisher.ledger.Withdraw(ctx, topic, events)
}

// post sends entries in a request. It returns those that were in it: what was withdrawn while the
// request waited for a token is left out. sent is false when certainly nothing has left.
func (p *publisher) post(topic string, batch []*publish.Entry[parcel]) (in []*publish.Entry[parcel], sent bool, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, p.b.o.RequestTimeout)
	defer cancel()
	r := newRequest(topic, batch)
	var server peer.Peer // is set when a request begins on a connection
	_, err = p.b.topics.Publish(context.WithValue(ctx, gate{}, r), r.message, gax.WithGRPCOptions(grpc.Peer(&server)))
	return r.batch, err == nil || server.Addr != nil, err
}

// outcome makes the outcome of events of the error of a request, which is not nil.
func outcome(sent bool, err error) error {
	code := publishCode(status.Code(err))
	if code == leat.CodeUnknown && !sent {
		code = leat.CodeUnavailable
	}
	return &leat.Error{Code: code, Err: explain(err)}
}

// waits reports whether a request of which nothing has left may go later.
func waits(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return true
	default:
		return false
	}
}

// note notes what is wrong with an answer or with the credentials, and nil when a request went
// well. In any case there is a connection.
func (p *publisher) note(err error) { p.set(nil, err) }

// unconnected notes why there is no connection.
func (p *publisher) unconnected(err error) { p.set(err, nil) }

func (p *publisher) set(offline, trouble error) {
	if p.ctx.Err() != nil {
		return
	}
	offline, trouble = explain(offline), explain(trouble)
	p.mu.Lock()
	p.offline.Set(offline)
	if offline == nil { // otherwise nobody knows
		p.trouble.Set(trouble)
	}
	p.mu.Unlock()
	err := cmp.Or(offline, trouble)
	if err == nil {
		p.failing.Well("publishing to Pub/Sub works again")
		return
	}
	code := codeOf(err).String()
	p.failing.Wrong("publishing to Pub/Sub fails", code, err, slog.String("code", code))
}

// connected notes that there is a connection, when nothing is left to send on it.
func (p *publisher) connected() {
	p.mu.Lock()
	was := p.offline.Err != nil
	p.offline.Set(nil)
	well := was && p.trouble.Err == nil
	p.mu.Unlock()
	if well {
		p.failing.Well("publishing to Pub/Sub works again")
	}
}

// symptom returns what is wrong: no connection, or else a request that went wrong lately. A request
// that went wrong long ago says nothing about now.
func (p *publisher) symptom() fault.Symptom {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.offline.Err != nil:
		return p.offline
	case p.trouble.Within(shownFor):
		return p.trouble
	}
	return fault.Symptom{}
}

// wrong returns why nothing can be sent.
func (p *publisher) wrong() error {
	err := p.symptom().Err
	if err == nil {
		return nil
	}
	code := codeOf(err)
	if code == leat.CodeCanceled { // the request's own timeout
		code = leat.CodeUnavailable
	}
	if own, ok := errors.AsType[*leat.Error](err); ok {
		err = own.Err
	}
	return &leat.Error{Code: code, Err: err}
}

func (p *publisher) health() error {
	s := p.symptom()
	return fault.Join(fault.Health("", codeOf(s.Err), s.Since, s.Err), p.ledger.Health())
}

func (p *publisher) close(ctx context.Context) {
	p.ledger.Close(ctx)
	p.cancel()
}
