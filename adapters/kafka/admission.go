package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// probeTimeout is the longest that a question may be without an answer.
const probeTimeout = 2 * time.Second

// question asks the cluster, before the first events go to the client, whether it accepts this
// producer at all. The client would not say before the DeliveryTimeout that the credentials are
// wrong or that nobody listens. What it asks for is the producer id that the client needs: the
// broker wants to see that the client may write to some topic.
//
// A client whose question has failed is replaced, while it has no events, unless nobody listens.
// After a refusal franz-go (1.22.2) fails all that is published with it from then on, also when
// somebody has granted the permission that was missing (TestPrepareErrorCodes). A host that takes
// connections and says nothing keeps it from asking another one for 10 s. A client that has an id
// keeps it.
func (p *publisher) question() error {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	client := p.clients.current()
	_, _, err := client.ProducerID(ctx)
	if cause := errors.Unwrap(err); cause != nil {
		err = cause // the client wraps what it would ask again, and to isHopeless all of that passes
	}
	if off, ok := client.OptValue(kgo.DisableIdempotentWrite).(bool); ok && off { // it has no id
		_, err = within(ctx, func() (struct{}, error) { return struct{}{}, client.Ping(ctx) })
	}
	if err != nil && !isDial(err) && p.ctx.Err() == nil {
		p.clients.renew()
	}
	return err
}

// isHopeless reports whether an error of a question does not pass by itself, unlike a broker that
// is down or busy.
func isHopeless(err error) bool {
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok {
		code := kafkaCode(kafkaErr)
		return code == leat.CodeUnauthenticated || code == leat.CodePermissionDenied
	}
	isContext := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	return isRefusedLogin(err) || !isContext && !isDial(err) && !kgo.IsRetryableBrokerErr(err)
}

// clients has the client that publishes. Nothing is published while it is replaced.
type clients struct {
	client atomic.Pointer[kgo.Client]
	open   func(ctx context.Context) (*kgo.Client, error)
	cancel context.CancelFunc // of a client that was opened here; nil for the first, which is the Broker's
}

func (c *clients) current() *kgo.Client { return c.client.Load() }

// renew replaces the client.
func (c *clients) renew() {
	ctx, cancel := context.WithCancel(context.Background())
	fresh, err := c.open(ctx)
	if err != nil { // not with options that were good for the first
		cancel()
		return
	}
	c.close()
	c.cancel = cancel
	c.client.Store(fresh)
}

// close closes a client that was opened here.
func (c *clients) close() {
	if c.cancel != nil {
		c.cancel()
		c.current().Close()
	}
}
