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
// before the DeliveryTimeout that the credentials are wrong or that nobody listens; and when the permission to publish is missing, it
// would fail for ever, also after somebody has granted it.
type admission struct {
	granted atomic.Bool
	limit   time.Duration // how long a publish waits for the answer. Without one the events are held

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

// check returns how long it has waited, and why nothing can be published, as an [*leat.Error].
func (a *admission) check(ctx context.Context, client *kgo.Client) (waited time.Duration, err error) {
	if a.granted.Load() {
		return 0, nil
	}
	began := time.Now()
	t := a.question(client)
	if t == nil {
		return 0, closedError("publish", "")
	}
	select {
	case <-t.answered:
		return time.Since(began), t.err
	case <-ctx.Done():
		return 0, &leat.Error{Code: leat.CodeCanceled, Err: context.Cause(ctx)}
	}
}

// question returns the attempt that is under way, and begins one where there is none; nil when the broker is closed.
func (a *admission) question(client *kgo.Client) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	if a.attempt == nil {
		a.attempt = &attempt{answered: make(chan struct{})}
		go a.ask(client, a.attempt)
	}
	return a.attempt
}

func (a *admission) ask(client *kgo.Client, t *attempt) {
	ctx, cancel := context.WithTimeout(client.Context(), a.limit)
	defer cancel()
	if err := askAny(ctx, cancel, client); err == nil {
		a.granted.Store(true)
	} else if isHopeless(err) {
		t.err = &leat.Error{Code: codeOf(err), Err: err}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempt = nil
	close(t.answered)
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
