package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// renewal has the client that publishes, and replaces it when it cannot publish any more: a client whose request for a producer id was
// answered with an error, such as a permission that was missing, answers every publish with that error for ever.
type renewal struct {
	current atomic.Pointer[kgo.Client]
	open    func() (*kgo.Client, context.CancelFunc, error)

	ctx  context.Context // ended by end
	stop context.CancelFunc
	busy chan struct{} // holds a token while the client is examined, and for ever after end

	// What follows belongs to who has put in the token.
	cancel context.CancelFunc // of a client that was opened here; nil for the first, which is the Broker's
	last   time.Time          // when a client was opened last
}

// renewalPause is the least time between two new clients.
const renewalPause = time.Second

func newRenewal(first *kgo.Client, open func() (*kgo.Client, context.CancelFunc, error)) *renewal {
	r := &renewal{open: open, busy: make(chan struct{}, 1)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.current.Store(first)
	return r
}

// suspect examines the client in the background when err may be what it would answer for ever.
func (r *renewal) suspect(err error) {
	if !isFinal(err) {
		return
	}
	select {
	case r.busy <- struct{}{}:
	default:
		return
	}
	go func() {
		r.examine()
		<-r.busy
	}()
}

// examine replaces the client if it has an error instead of a producer id.
func (r *renewal) examine() {
	ctx, cancel := context.WithTimeout(r.ctx, renewalPause)
	defer cancel()
	if _, _, err := r.client().ProducerID(ctx); !isFinal(err) {
		return
	}
	pause := time.NewTimer(time.Until(r.last.Add(renewalPause)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-r.ctx.Done():
		return
	}
	r.last = time.Now()
	fresh, cancelFresh, err := r.open()
	if err != nil {
		return // not with options that were good for the first
	}
	r.retire(r.current.Swap(fresh))
	r.cancel = cancelFresh
}

// retire closes a client that was opened here. It has failed all that it had; a publish that took it a moment ago gets that as unknown.
func (r *renewal) retire(old *kgo.Client) {
	if r.cancel != nil {
		r.cancel()
		old.Close()
	}
}

func (r *renewal) client() *kgo.Client { return r.current.Load() }

// end closes what was opened here. Nothing is published any more.
func (r *renewal) end() {
	r.stop()
	r.busy <- struct{}{}
	r.retire(r.client())
}

// isFinal reports whether err is an error of a broker that trying again would not change by itself.
func isFinal(err error) bool {
	kafkaErr, ok := errors.AsType[*kerr.Error](err)
	return ok && !kafkaErr.Retriable
}
