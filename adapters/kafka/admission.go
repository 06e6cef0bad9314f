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
	return p.askAny(ctx)
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

// probeStagger is how much later each broker is asked than the one before it. One that is gone without
// a trace must not use up the time of the others, and a login at all of them costs as much as several.
const probeStagger = 250 * time.Millisecond

// askAny asks the brokers until one accepts this producer. Otherwise it returns what the last one
// said, or an error that does not pass by itself where any said so. What is still asked then ends
// with ctx.
func (p *publisher) askAny(ctx context.Context) (last error) {
	client := p.clients.current()
	seeds := client.SeedBrokers()
	answers := make(chan error, len(seeds))
	for i, seed := range seeds {
		p.asking.Go(func() {
			select {
			case <-time.After(time.Duration(i) * probeStagger):
				answers <- probe(ctx, client, seed)
			case <-ctx.Done():
				answers <- ctx.Err()
			}
		})
	}
	for range seeds {
		err := <-answers
		if err == nil {
			return nil
		}
		if last == nil || !isHopeless(last) {
			last = err
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
