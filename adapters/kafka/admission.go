package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// admission asks the cluster, before the first events go to the client, whether it accepts this producer at all. The client would not say
// before the DeliveryTimeout that the credentials are wrong; and when the permission to publish is missing, it would fail for ever,
// also after somebody has granted it.
type admission struct {
	granted atomic.Bool
	limit   time.Duration // how long a publish waits for the answer. Without one the events go to the client, which waits for the cluster

	mu      sync.Mutex
	attempt *attempt // under way, or nil
	closed  bool
}

// attempt is one question, whose answer all publishes wait for that come meanwhile.
type attempt struct {
	answered chan struct{}
	err      error // why this producer is refused; nil also where no broker could be asked
}

// probeTimeout is the longest that a publish waits for the answer. It is a part of the DeliveryTimeout, so at most half of that.
const probeTimeout = 2 * time.Second

// check returns how long it has waited, at most limit, and why nothing can be published, as an [*leat.Error].
func (a *admission) check(ctx context.Context, client *kgo.Client) (waited time.Duration, err error) {
	if a.granted.Load() {
		return 0, nil
	}
	began := time.Now()
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return 0, closedError("publish", "")
	}
	t := a.attempt
	if t == nil {
		t = &attempt{answered: make(chan struct{})}
		a.attempt = t
		go a.ask(client, t)
	}
	a.mu.Unlock()
	select {
	case <-t.answered:
		return min(time.Since(began), a.limit), t.err
	case <-ctx.Done():
		return 0, &leat.Error{Code: leat.CodeCanceled, Err: context.Cause(ctx)}
	}
}

func (a *admission) ask(client *kgo.Client, t *attempt) {
	ctx, cancel := context.WithTimeout(client.Context(), a.limit)
	defer cancel()
	var last error
	for _, seed := range client.SeedBrokers() {
		last = probe(ctx, client, seed)
		if last == nil {
			a.granted.Store(true)
			break
		}
	}
	if last != nil && isHopeless(last) {
		t.err = &leat.Error{Code: codeOf(last), Err: last}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempt = nil
	close(t.answered)
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

// wait returns when no question is under way, and lets no other begin.
func (a *admission) wait() {
	a.mu.Lock()
	a.closed = true
	t := a.attempt
	a.mu.Unlock()
	if t != nil {
		<-t.answered
	}
}
