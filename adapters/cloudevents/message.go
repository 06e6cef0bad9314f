package cloudevents

import (
	"context"
	"errors"
	"sync"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	"github.com/leatgo/leat"
)

// message is an event that Receive returns: the SDK's own message of an event, with the context of
// the attempt.
type message struct {
	*binding.EventMessage

	ctx      context.Context
	once     sync.Once
	finished chan error
}

var (
	_ binding.MessageWrapper = (*message)(nil)
	_ binding.MessageContext = (*message)(nil)
)

func newMessage(ctx context.Context, e event.Event) *message {
	return &message{EventMessage: (*binding.EventMessage)(&e), ctx: ctx, finished: make(chan error, 1)}
}

// GetWrappedMessage makes the SDK see the event.
func (m *message) GetWrappedMessage() binding.Message { return m.EventMessage }

// Context is that of the attempt, which the client's receiver gets: it lives on while the Protocol
// drains, and ends when the event is lost or the ShutdownTimeout has passed.
func (m *message) Context() context.Context { return m.ctx }

// Finish ends the attempt with err as its outcome. Only the first call counts.
func (m *message) Finish(err error) error {
	m.once.Do(func() { m.finished <- err })
	return nil
}

// handle is the handler of the consumer: it gives the event to whoever receives, and waits until
// the message is finished. Like every handler it does not leave before that, so that no two events
// of one key are with the client at a time.
func (p *Protocol) handle(ctx context.Context, e leat.Event) error {
	in, err := ToSDK(e)
	if err != nil {
		return leat.Reject(err)
	}
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	m := newMessage(ctx, in)
	select {
	case p.offered <- m:
	case <-r.ctx.Done():
		return stopped(errors.New("nobody receives any more"))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err = <-m.finished
	switch {
	case protocol.IsACK(err):
		return nil
	case r.ctx.Err() != nil && errors.Is(err, context.Canceled) && !leat.IsDecided(err):
		return stopped(err) // a receiver that uses the context of StartReceiver, which is over
	}
	return err
}

// stopped is the outcome of an attempt that failed because the Protocol stops, which is no failure
// of the event.
func stopped(err error) error { return leat.Pause(0, err) }
