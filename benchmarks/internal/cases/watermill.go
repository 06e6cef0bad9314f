package cases

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// watermillPath is Watermill on its in-memory Pub/Sub. That has no backpressure, so the publisher
// keeps a window of its own.
type watermillPath struct {
	*load.Counter

	next    func(i int) (*message.Message, error)
	window  chan struct{}
	pubsub  *gochannel.GoChannel
	router  *message.Router // nil without one
	readers sync.WaitGroup
	ran     chan error
}

// watermillOptions say what a Watermill case does.
type watermillOptions struct {
	// depth is the window.
	depth int
	// buffer is how many places the output channel has; 0 is the default of gochannel.
	buffer int
	// made makes every message when it is published, instead of before. Both are right: gochannel's
	// Publish copies it.
	made bool
	// middleware wraps the handler of the Router.
	middleware []message.HandlerMiddleware
}

// newWatermill returns the Pub/Sub with its publisher's side.
func newWatermill(o watermillOptions) (*watermillPath, error) {
	next, err := supply(distinctEvents, o.made, newWatermillMessage)
	return &watermillPath{
		Counter: load.NewCounter(),
		next:    next,
		window:  make(chan struct{}, o.depth),
		pubsub:  gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: int64(o.buffer)}, watermill.NopLogger{}),
		ran:     make(chan error, 1),
	}, err
}

// startWatermill returns the set-up of Watermill without a Router: a goroutine subscribes and acks.
func startWatermill(o watermillOptions) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		w, err := newWatermill(o)
		if err != nil {
			return nil, err
		}
		messages, err := w.pubsub.Subscribe(context.WithoutCancel(ctx), topic)
		if err != nil {
			return nil, errors.Join(err, w.pubsub.Close())
		}
		w.readers.Go(func() {
			for m := range messages {
				w.handled()
				m.Ack()
			}
		})
		return w, nil
	}
}

// startWatermillRouter returns the set-up of Watermill's Router with the middleware.
func startWatermillRouter(o watermillOptions) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		w, err := newWatermill(o)
		if err != nil {
			return nil, err
		}
		router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
		if err != nil {
			return nil, errors.Join(err, w.pubsub.Close())
		}
		router.AddMiddleware(o.middleware...)
		router.AddConsumerHandler("count", topic, w.pubsub, func(*message.Message) error {
			w.handled()
			return nil
		})
		w.router = router
		go func() { w.ran <- router.Run(context.WithoutCancel(ctx)) }()
		select {
		case <-router.Running():
			return w, nil
		case err := <-w.ran:
			return nil, errors.Join(err, w.pubsub.Close())
		}
	}
}

// watermillRetry is Watermill's retry middleware with the settings of its documentation.
func watermillRetry() []message.HandlerMiddleware {
	retry := middleware.Retry{MaxRetries: 3, InitialInterval: 100 * time.Millisecond, Logger: watermill.NopLogger{}}
	return []message.HandlerMiddleware{retry.Middleware}
}

// handled counts an event and gives its place in the window to the next.
func (w *watermillPath) handled() {
	<-w.window
	w.Add()
}

// Run publishes n messages.
func (w *watermillPath) Run(ctx context.Context, n int) error {
	w.Expect(n)
	for i := range n {
		w.window <- struct{}{}
		m, err := w.next(i)
		if err != nil {
			return err
		}
		if err := w.pubsub.Publish(topic, m); err != nil {
			return err
		}
	}
	return w.Wait(ctx)
}

// Close stops the Router and the Pub/Sub.
func (w *watermillPath) Close() error {
	var err error
	if w.router != nil {
		err = errors.Join(w.router.Close(), <-w.ran)
	}
	err = errors.Join(err, w.pubsub.Close())
	w.readers.Wait()
	return err
}
