package eventtest

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// program is a Consumer that a case runs.
type program struct {
	r        *run
	consumer *leat.Consumer
	shutdown time.Duration
	cancel   context.CancelFunc
	over     chan struct{} // closed when Run has returned
	err      error         // what it returned
	active   atomic.Int64  // handlers that run
}

// serve runs a Consumer of the ledger's topic on b, in the group g, and waits until it is
// subscribed. It is stopped when the case is over.
func (l *ledger) serve(b leat.Broker, h leat.HandlerFunc, o *leat.ConsumerOptions) *program {
	s := l.r.launch(b, l.r.subscription(l.topic, testGroup), l.record(h), o)
	s.await()
	return s
}

// rejoin waits until a stream of the group g can be opened after an outage, which Run tries once.
func (l *ledger) rejoin(b leat.Broker) { l.r.rejoin(b, l.topic, testGroup).close() }

// launch is serve for any subscription, without the ledger and without waiting.
func (r *run) launch(b leat.Broker, sub leat.Subscription, h leat.HandlerFunc, o *leat.ConsumerOptions) *program {
	full := leat.ConsumerOptions{}
	if o != nil {
		full = *o
	}
	if full.ShutdownTimeout == 0 {
		full.ShutdownTimeout = r.opts.Patience
	}
	s := &program{r: r, shutdown: full.ShutdownTimeout}
	s.consumer = leat.NewConsumer(b, sub, s.watch(h), &full)
	s.run()
	return s
}

// watch notes a handler that begins after Run has returned, and counts those that run.
func (s *program) watch(h leat.HandlerFunc) leat.HandlerFunc {
	return func(ctx context.Context, e leat.Event) error {
		s.active.Add(1)
		defer s.active.Add(-1)
		select {
		case <-s.over:
			s.r.notef("a handler began after Run had returned")
		default:
		}
		return h(ctx, e)
	}
}

// run runs the Consumer, for the first time or again.
func (s *program) run() {
	ctx, cancel := context.WithCancel(s.r.ctx)
	s.cancel, s.over = cancel, make(chan struct{})
	go func() {
		err := leat.Run(ctx, s.consumer)
		if err == nil && s.active.Load() > 0 {
			s.r.notef("Run returned nil, and %d handlers still run", s.active.Load())
		}
		s.err = err
		close(s.over)
	}()
	s.r.cleanup(func() {
		cancel()
		s.wait(s.r.opts.Patience)
	})
}

// await waits until the consumer is subscribed.
func (s *program) await() {
	s.r.eventually("the consumer is subscribed", func() bool {
		select {
		case <-s.over:
			s.r.failf("Run ended early: %v", s.err)
		default:
		}
		return s.subscribed()
	})
}

// subscribed reports whether the consumer has a stream, and no outage.
func (s *program) subscribed() bool {
	health := s.consumer.Health()
	return health.State != leat.Stopped && !hasProblem(health, leat.CodeUnavailable)
}

// hasProblem reports whether a consumer's health names a problem with that code.
func hasProblem(h leat.Health, code leat.Code) bool {
	return slices.ContainsFunc(h.Problems, func(err error) bool { return leat.CodeOf(err) == code })
}

// wait waits until Run has returned, at most for d, and reports whether it has.
func (s *program) wait(d time.Duration) bool { return s.r.closedWithin(s.over, d) }

// stop stops the consumer and returns what Run returned. The case fails when Run is late.
func (s *program) stop() error {
	began := time.Now()
	s.cancel()
	if !s.wait(s.shutdown + grace) {
		s.wait(s.r.opts.Patience)
		s.r.failf("Run had not returned %v after its end, with a ShutdownTimeout of %v", time.Since(began).Round(time.Millisecond), s.shutdown)
	}
	return s.err
}

// stopClean stops the consumer and fails the case when Run returns an error.
func (s *program) stopClean() { s.r.must(s.stop(), "stopping the consumer") }
