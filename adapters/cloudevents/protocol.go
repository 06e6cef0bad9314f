package cloudevents

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cloudevents/sdk-go/v2/binding"
	cecontext "github.com/cloudevents/sdk-go/v2/context"
	"github.com/cloudevents/sdk-go/v2/protocol"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
)

// Options are the options of a [Protocol].
type Options struct {
	// Topic is where Send publishes to, unless the context has another by the SDK's WithTopic.
	// Empty means that the context must have one.
	Topic string
	// Subscription is what OpenInbound receives from. The zero Subscription means that the Protocol
	// only sends.
	Subscription leat.Subscription
	// Producer are the options of the producer beneath Send.
	Producer leat.ProducerOptions
	// Consumer are the options of the consumer beneath Receive: how many events the client's
	// receiver may have at a time (Concurrency), retries (Middleware), the poison queue, how long
	// it may go on when it is to stop (ShutdownTimeout).
	Consumer leat.ConsumerOptions
}

// Protocol is a Leat broker as a protocol of the SDK: a protocol.Sender, Receiver, Opener and
// Closer, to be given to the SDK's NewClient. It is safe for concurrent use. It does not own the
// broker: close the Protocol first.
//
// It is no protocol.Responder, since a broker carries no replies: the SDK refuses a receiver that
// returns an event. Publish it from within the receiver instead.
type Protocol struct {
	topic    string
	producer *leat.Producer
	consumer *leat.Consumer // nil for one that only sends

	offered chan *message
	closed  chan struct{}

	mu      sync.Mutex
	closing bool
	run     *run // the OpenInbound that runs, or nil
}

// run is one OpenInbound.
type run struct {
	ctx  context.Context
	stop context.CancelFunc
	over chan struct{} // closed when it has returned
}

var (
	_ protocol.Sender   = (*Protocol)(nil)
	_ protocol.Receiver = (*Protocol)(nil)
	_ protocol.Opener   = (*Protocol)(nil)
	_ protocol.Closer   = (*Protocol)(nil)
)

// New returns a Protocol on broker. A nil o means no topic and no subscription: the context of each
// Send names the topic. The error is an [*leat.Error] with [leat.CodeInvalid]. What is wrong with
// o.Consumer is said by OpenInbound.
func New(broker leat.Broker, o *Options) (*Protocol, error) {
	if o == nil {
		o = &Options{}
	}
	if nils.Is(broker) {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: errors.New("the broker is nil")}
	}
	p := &Protocol{
		topic: o.Topic, producer: leat.NewProducer(broker, &o.Producer), offered: make(chan *message), closed: make(chan struct{}),
	}
	if o.Subscription != (leat.Subscription{}) {
		if err := o.Subscription.Validate(); err != nil {
			return nil, err
		}
		p.consumer = leat.NewConsumer(broker, o.Subscription, leat.HandlerFunc(p.handle), &o.Consumer)
	}
	return p, nil
}

// Send publishes the event in m to the topic of the Options, or to that of ctx by the SDK's
// WithTopic, and waits for the broker. The event is copied before Send waits: the caller may change
// it when Send has returned, not before. m is finished with the outcome.
//
// A message that another protocol of the SDK received, in binary mode or in JSON, is read by Leat,
// as it came. Where there are transformers the SDK reads it, which writes some attributes anew.
//
// Nil means that the broker has the event, as durably as it can. A message that cannot be read and
// an event that [FromSDK] refuses are an [*leat.Error], which the SDK calls undelivered. Any other
// failure is a NACK of the SDK around a [*leat.PublishError]: [leat.CodeOf] says whether the event
// is certainly not stored or, with [leat.CodeUnknown], may be.
func (p *Protocol) Send(ctx context.Context, m binding.Message, transformers ...binding.Transformer) (err error) {
	defer func() {
		if m == nil {
			return
		}
		if failed := m.Finish(err); err == nil {
			err = failed
		}
	}()
	topic := cecontext.TopicFrom(ctx)
	if topic == "" {
		topic = p.topic
	}
	if topic == "" {
		return &leat.Error{Op: "publish", Code: leat.CodeInvalid,
			Err: errors.New("there is no topic; set Options.Topic, or give one with WithTopic of the SDK's package context")}
	}
	e, err := readMessage(ctx, m, transformers)
	if err != nil {
		return err
	}
	if err := p.producer.Publish(ctx, topic, e); err != nil {
		return protocol.NewReceipt(false, "%w", err)
	}
	return nil
}

// OpenInbound receives from the subscription until ctx ends, then drains as [leat.Run] does: events
// that the client's receiver has may be finished until ShutdownTimeout, others go back to the
// broker. It returns nil after a clean drain. The SDK's StartReceiver calls it.
func (p *Protocol) OpenInbound(ctx context.Context) error {
	if p.consumer == nil {
		return &leat.Error{Op: "run", Code: leat.CodeInvalid, Err: errors.New("there is no subscription; set Options.Subscription")}
	}
	r, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer p.end(r)
	return leat.Run(r.ctx, p.consumer)
}

func (p *Protocol) begin(ctx context.Context) (*run, error) {
	refuse := func(code leat.Code, why string) (*run, error) {
		return nil, &leat.Error{Op: "run", Code: code, Err: errors.New(why)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return refuse(leat.CodeClosed, "the Protocol is closed")
	case p.run != nil:
		return refuse(leat.CodeConflict, "the Protocol receives already; one client at a time can")
	}
	r := &run{over: make(chan struct{})}
	r.ctx, r.stop = context.WithCancel(ctx)
	p.run = r
	return r, nil
}

func (p *Protocol) end(r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.stop()
	p.run = nil
	close(r.over)
}

// Receive waits for the next event. It returns io.EOF, which ends the client's loop, when ctx has
// ended and after Close. The event is acknowledged when the message is finished with nil or an ACK
// of the SDK, and not before; with any other error, which may be one of [leat.Reject],
// [leat.RetryAfter] and [leat.Pause], that is the outcome of the attempt.
func (p *Protocol) Receive(ctx context.Context) (binding.Message, error) {
	if ctx.Err() != nil {
		return nil, io.EOF
	}
	select {
	case m := <-p.offered:
		return m, nil
	case <-ctx.Done():
	case <-p.closed:
	}
	return nil, io.EOF
}

// Close stops receiving and refuses further events, waits until the client's receiver has finished
// what it has and the broker has answered what was sent, and returns. When ctx ends before that,
// the [*leat.Error] has [leat.CodeCanceled] or, for missing answers, [leat.CodeUnknown]. The broker
// stays open. Closing twice is no error.
func (p *Protocol) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closing {
		p.closing = true
		close(p.closed)
	}
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return p.producer.Close(ctx)
	}
	r.stop()
	err := p.producer.Close(ctx)
	select {
	case <-r.over:
	case <-ctx.Done():
		err = errors.Join(err, &leat.Error{Op: "close", Code: leat.CodeCanceled,
			Err: fmt.Errorf("the client's receiver still has events: %w", ctx.Err())})
	}
	return err
}

// Health is that of the consumer beneath: [leat.Consumer.Health]. The zero Health where there is
// none.
func (p *Protocol) Health() leat.Health {
	if p.consumer == nil {
		return leat.Health{}
	}
	return p.consumer.Health()
}
