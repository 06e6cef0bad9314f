package leat_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pointerHandler is a Handler whose nil pointer is not a nil Handler.
type pointerHandler struct{ fn func() }

func (h *pointerHandler) Handle(context.Context, leat.Event) error {
	h.fn()
	return nil
}

type pointerStore struct{ middleware.Store }

type pointerQueue struct{ leat.PoisonQueue }

// What is nil is refused by Run, before the first event, with what it is, and nothing panics.
func TestRunRefusesWhatIsNil(t *testing.T) {
	good := leat.HandlerFunc(func(context.Context, leat.Event) error { return nil })
	with := func(m ...leat.Middleware) *leat.ConsumerOptions { return &leat.ConsumerOptions{Middleware: m} }
	queue := func(q leat.PoisonQueue) *leat.ConsumerOptions { return &leat.ConsumerOptions{PoisonQueue: q} }
	observer := func(o *observedBroker) *leat.ConsumerOptions { return &leat.ConsumerOptions{Observer: o} }
	same := func(next leat.Handler) leat.Handler { return next }
	order := leat.EventType[int]{Name: "order", Topic: "orders"}
	broken := leat.NewRouter(leat.Route{Type: "a"})
	typedNil := leat.NewRouter(leat.Route{Type: "a", Handler: (*pointerHandler)(nil)})
	noHandler := func(leat.Handler) leat.Handler { return nil }
	noStore, noBroker := middleware.Idempotent((*pointerStore)(nil), nil), leat.NewProducer(nil, nil)
	for name, c := range map[string]struct {
		broker  leat.Broker
		handler leat.Handler
		options *leat.ConsumerOptions
		want    string
	}{
		"broker":                       {nil, good, nil, "the broker is nil"},
		"broker in an interface":       {(*fakeBroker)(nil), good, nil, "the broker is nil"},
		"handler":                      {newFakeBroker(), nil, nil, "the handler is nil"},
		"handler func":                 {newFakeBroker(), leat.HandlerFunc(nil), nil, "the handler is nil"},
		"handler in an interface":      {newFakeBroker(), (*pointerHandler)(nil), nil, "the handler is nil"},
		"router":                       {newFakeBroker(), (*leat.Router)(nil), nil, "the handler is nil"},
		"handler of a chain":           {newFakeBroker(), leat.Chain(nil, same), nil, "the handler is nil"},
		"middleware":                   {newFakeBroker(), good, with(same, nil), "Middleware has a nil"},
		"middleware of a chain":        {newFakeBroker(), leat.Chain(good, same, nil), nil, "middleware 1 is nil"},
		"what a middleware returns":    {newFakeBroker(), good, with(noHandler), "middleware 0 returned a nil Handler"},
		"handler of a route":           {newFakeBroker(), broken, nil, `for type "a" has no Handler`},
		"router in a chain":            {newFakeBroker(), leat.Chain(broken, same), nil, `for type "a" has no Handler`},
		"route's handler in interface": {newFakeBroker(), typedNil, nil, "has no Handler"},
		"typed handler":                {newFakeBroker(), leat.NewRouter(order.Handler(nil)), nil, `for type "order" has no Handler`},
		"store":                        {newFakeBroker(), good, with(middleware.Idempotent(nil, nil)), "made without a Store"},
		"store in an interface":        {newFakeBroker(), good, with(same, noStore, same), "made without a Store"},
		"store in the chain of a route": {newFakeBroker(), leat.NewRouter(leat.Route{
			Type: "a", Handler: leat.Chain(good, same, middleware.Idempotent(nil, nil)),
		}), nil, "made without a Store"},
		"observer in an interface":           {newFakeBroker(), good, observer(nil), "Observer is a nil"},
		"poison queue in an interface":       {newFakeBroker(), good, queue((*pointerQueue)(nil)), "PoisonQueue is a nil"},
		"poison queue's producer":            {newFakeBroker(), good, queue(middleware.PoisonQueue(nil, nil)), "without a Producer"},
		"poison queue's producer, zero":      {newFakeBroker(), good, queue(middleware.PoisonQueue(&leat.Producer{}, nil)), "without a Producer"},
		"poison queue's producer, no broker": {newFakeBroker(), good, queue(middleware.PoisonQueue(noBroker, nil)), "has no broker"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := leat.Subscription{Topic: "orders", Group: "billing"}
			err := leat.Run(t.Context(), leat.NewConsumer(c.broker, sub, c.handler, c.options))
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, c.want)
			if b, ok := c.broker.(*fakeBroker); ok && b != nil {
				assert.Empty(t, b.sub.Topic, "it has subscribed")
			}
		})
	}
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Run(t.Context(), nil)))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(leat.Declare(t.Context(), (*fakeBroker)(nil))))
}

// A chain that was refused says so to those who call it without Run, and one that is whole is not
// wrapped further.
func TestAChainWithANilRefusesEvents(t *testing.T) {
	err := leat.Chain(nil).Handle(t.Context(), event(t, "1", ""))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	h := &pointerHandler{fn: func() {}}
	assert.Same(t, h, leat.Chain(h))
}

// Every method of a Producer that is nil, zero or without a broker refuses, and nothing panics.
func TestProducersThatAreNil(t *testing.T) {
	for name, p := range map[string]*leat.Producer{
		"nil":               nil,
		"zero":              {},
		"broker":            leat.NewProducer(nil, nil),
		"typed nil broker":  leat.NewProducer((*fakeBroker)(nil), nil),
		"middleware":        leat.NewProducer(newFakeBroker(), &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{nil}}),
		"observer":          leat.NewProducer(newFakeBroker(), &leat.ProducerOptions{Observer: (*observedBroker)(nil)}),
		"middleware's func": leat.NewProducer(newFakeBroker(), &leat.ProducerOptions{Middleware: []leat.PublishMiddleware{toNil}}),
	} {
		t.Run(name, func(t *testing.T) {
			err := p.Publish(t.Context(), "orders", event(t, "1", ""))
			assert.Equal(t, leat.CodeInvalid, leat.CodeOf(publishError(t, err).Failures[0].Err))
			err = leat.EventType[int]{Name: "n", Topic: "orders", Source: "/s"}.Publish(t.Context(), p, 1, 2)
			assert.Len(t, publishError(t, err).Refused(), 2)
			asked := 0
			p.PublishAsync(t.Context(), "orders", func(_ leat.Event, err error) {
				asked++
				assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
			}, event(t, "1", ""))
			assert.Equal(t, 1, asked)
			require.NoError(t, p.Publish(t.Context(), "orders"))
			require.NoError(t, p.Flush(t.Context()))
			require.NoError(t, p.Close(t.Context()))
			_ = p.Limits()
		})
	}
}

func toNil(leat.PublishFunc) leat.PublishFunc { return nil }

// An Opener that returns a nil in an interface has opened nothing.
func TestOpenersRefuseATypedNil(t *testing.T) {
	o := leat.Openers{"mem": func(context.Context, *url.URL) (leat.Broker, error) { return (*fakeBroker)(nil), nil }}
	_, err := o.Open(t.Context(), "mem://")
	assert.Equal(t, leat.CodeInternal, leat.CodeOf(err))
}
