package kafka

import (
	"cmp"
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
//
// A client whose question has failed is replaced, while it has no events, unless nobody listens.
// After a refusal franz-go (1.22.2) fails all that is published with it from then on, also when
// somebody has granted the permission that was missing (TestPrepareErrorCodes). A host that takes
// connections and says nothing keeps it from asking another one for 10 s. A client that has an id
// keeps it.
func (p *publisher) question() error {
	client := p.clients.current()
	hosts, _ := client.OptValue(kgo.SeedBrokers).([]string)
	if len(hosts) > 1 {
		if first := p.firstToAnswer(client, hosts); first != "" {
			_ = client.UpdateSeedBrokers(first)
			defer func() { _ = client.UpdateSeedBrokers(hosts...) }()
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	err := ask(ctx, client, len(hosts) > 1)
	if err != nil && !isDial(err) && p.ctx.Err() == nil {
		p.clients.renew()
	}
	return err
}

// ask asks for the producer id that the client needs: the broker wants to see that the client may
// write to some topic. With several hosts it then asks for the brokers of the cluster, so that the
// client does not go back to a silent host to find the first leader.
func ask(ctx context.Context, client *kgo.Client, several bool) error {
	if off, ok := client.OptValue(kgo.DisableIdempotentWrite).(bool); !ok || !off { // else it has no id
		if _, _, err := client.ProducerID(ctx); err != nil {
			return cmp.Or(errors.Unwrap(err), err) // the client wraps what it would ask again, and to isHopeless all of that passes
		}
		if !several {
			return nil
		}
	}
	_, err := within(ctx, func() (kmsg.Response, error) {
		return client.Request(ctx, &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{}})
	})
	return err
}

// stagger is how much later each host is asked than the one before it.
const stagger = 250 * time.Millisecond

// firstToAnswer returns the first of several hosts that answers, "" when none does. The client
// begins with any one of them. One that takes connections and says nothing would keep it for 2 s
// each time that it is drawn (TestSilentHosts).
func (p *publisher) firstToAnswer(client *kgo.Client, hosts []string) string {
	ctx, cancel := context.WithTimeout(p.ctx, probeTimeout)
	defer cancel()
	answers := make(chan string, len(hosts))
	for i, seed := range client.SeedBrokers() {
		p.asking.Go(func() {
			select {
			case <-time.After(time.Duration(i) * stagger):
			case <-ctx.Done():
			}
			_, err := within(ctx, func() (kmsg.Response, error) { return seed.Request(ctx, kmsg.NewPtrApiVersionsRequest()) })
			if err == nil {
				answers <- hosts[i]
			} else {
				answers <- ""
			}
		})
	}
	for range hosts {
		if first := <-answers; first != "" {
			return first
		}
	}
	return ""
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
