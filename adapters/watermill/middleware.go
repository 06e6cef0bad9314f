package watermill

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// misusePause is how long a consumer pauses whose middleware does what has no meaning here.
const misusePause = 10 * time.Second

// Middleware returns a middleware of Watermill as one of Leat. It sees the event as [Codec.Restore]
// makes a message of it, and the error of the handler; the context that it sets is the handler's.
// An outcome that the handler has decided, such as [leat.Reject], stays what it is, whatever the
// middleware makes of the error, and the handler is not called again for it.
//
// A message has more that a middleware may use and that has no meaning around a handler of Leat: it
// acks or nacks, changes the message before the handler, or returns messages to be published.
// Nothing of that can be done, and none of it is passed over: the consumer pauses, with an error of
// [leat.CodeUnsupported] that says so, and the event stays unhandled. docs/watermill.md has a list
// of Watermill's own middleware. A nil m is refused by [leat.Run].
func Middleware(m message.HandlerMiddleware, codec Codec) leat.Middleware {
	return func(next leat.Handler) leat.Handler { return &throughHandler{m, codec, next} }
}

// throughHandler is a handler behind a middleware of Watermill.
type throughHandler struct {
	middleware message.HandlerMiddleware
	codec      Codec
	next       leat.Handler
}

// Handle implements [leat.Handler].
func (h *throughHandler) Handle(ctx context.Context, e leat.Event) error {
	if h.middleware == nil {
		return leat.Pause(misusePause, h.missing(""))
	}
	original, err := h.codec.Restore(e)
	if err != nil {
		return leat.Reject(err)
	}
	handed := original.Copy()
	handed.SetContext(ctx)
	var decided, misuse error
	produced, err := h.middleware(func(got *message.Message) ([]*message.Message, error) {
		switch {
		case decided != nil:
			return nil, decided
		case got == nil || got.UUID != original.UUID || !maps.Equal(got.Metadata, original.Metadata) ||
			string(got.Payload) != string(original.Payload):
			misuse = misused(e, "it changes the message before the handler")
			return nil, misuse
		}
		err := h.next.Handle(got.Context(), e)
		if leat.IsDecided(err) {
			decided = err
		}
		return nil, err
	})(handed)
	switch {
	case misuse != nil:
	case len(produced) > 0:
		misuse = misused(e, "it returns messages to be published")
	case closed(handed.Acked()) || closed(handed.Nacked()):
		misuse = misused(e, "it acks or nacks by itself")
	case decided != nil:
		return decided
	default:
		return err
	}
	return leat.Pause(misusePause, misuse)
}

// Check tells [leat.Run] that the middleware is missing.
func (h *throughHandler) Check(sub leat.Subscription) error {
	if h.middleware == nil {
		return h.missing(sub.Topic)
	}
	return nil
}

func (*throughHandler) missing(topic string) error {
	return fault.Errorf("run", topic, leat.CodeInvalid, "the middleware of Watermill is nil")
}

func misused(e leat.Event, what string) error {
	return &leat.Error{Op: "handle", EventID: e.ID(), Code: leat.CodeUnsupported,
		Err: fmt.Errorf("the Watermill middleware does what has no meaning around a handler of Leat: %s", what)}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
