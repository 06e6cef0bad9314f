package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// probeTimeout is the longest that a question may be without an answer.
const probeTimeout = 2 * time.Second

// question asks the cluster, before the first events go to the client, whether it accepts this
// producer at all. The client would not say before the DeliveryTimeout that the credentials are
// wrong or that nobody listens.
func (p *publisher) question() error {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	return askAny(ctx, cancel, p.clients.current())
}

// loadID lets the client ask for its producer id, which a broker has just given to question. When a
// broker answers that with an error after which trying again is of no use, franz-go keeps the error,
// and fails all that is published with it from then on, also when somebody has granted the permission
// that was missing. Such a client is replaced, while it has no events. A client that has an id keeps
// it, and only counts its epoch up.
func (p *publisher) loadID() error {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	_, _, err := p.clients.current().ProducerID(ctx)
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok && !kafkaErr.Retriable {
		p.clients.renew()
	}
	return err
}

// probeStagger is how long a broker may be without an answer before the next one is asked as well: one that is gone without a trace
// must not use up the time of the others.
const probeStagger = 250 * time.Millisecond

// askAny asks the brokers one after the other until one accepts this producer, and ends ctx then. Otherwise it returns what the last one
// said, or an error that does not pass by itself where any said so.
func askAny(ctx context.Context, cancel context.CancelFunc, client *kgo.Client) error {
	seeds := client.SeedBrokers()
	answers := make(chan error, len(seeds))
	stagger := time.NewTicker(probeStagger)
	defer stagger.Stop()
	var last error
	for next, pending := 0, 0; next < len(seeds) || pending > 0; {
		if next < len(seeds) {
			seed := seeds[next]
			next++
			pending++
			go func() { answers <- probe(ctx, client, seed) }()
		}
		select {
		case err := <-answers:
			pending--
			if err == nil {
				cancel()
				for ; pending > 0; pending-- {
					<-answers //nolint:errcheck // of a probe that is not needed any more
				}
				return nil
			}
			if last == nil || !isHopeless(last) {
				last = err
			}
		case <-stagger.C:
		}
	}
	return last
}

// probe asks one broker for what the client asks for first: a producer id, for which the broker wants to see that the client may write to
// some topic.
func probe(ctx context.Context, client *kgo.Client, broker *kgo.Broker) error {
	if off, ok := client.OptValue(kgo.DisableIdempotentWrite).(bool); ok && off {
		_, err := broker.Request(ctx, &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{}})
		return err
	}
	request := kmsg.NewPtrInitProducerIDRequest()
	request.ProducerID, request.ProducerEpoch = -1, -1
	answer, err := broker.Request(ctx, request)
	if err != nil {
		return err
	}
	id, ok := answer.(*kmsg.InitProducerIDResponse)
	if !ok {
		return errors.New("the broker's answer is none to the question")
	}
	return kerr.ErrorForCode(id.ErrorCode)
}

// isHopeless reports whether an error of a probe does not pass by itself, unlike a broker that is down or busy.
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
	open   func() (*kgo.Client, context.CancelFunc, error)
	cancel context.CancelFunc // of a client that was opened here; nil for the first, which is the Broker's
}

func (c *clients) current() *kgo.Client { return c.client.Load() }

// renew replaces the client.
func (c *clients) renew() {
	fresh, cancel, err := c.open()
	if err != nil {
		return // not with options that were good for the first
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
