package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// refusals are the answers to a produce request that mean that nothing was stored, and the codes
// that they become.
var refusals = map[*kerr.Error]leat.Code{
	kerr.MessageTooLarge: leat.CodeTooLarge, kerr.RecordListTooLarge: leat.CodeTooLarge,
	kerr.InvalidTopicException: leat.CodeInvalid, kerr.InvalidRecord: leat.CodeInvalid, kerr.InvalidTimestamp: leat.CodeInvalid,
	kerr.PolicyViolation: leat.CodeInvalid, kerr.CorruptMessage: leat.CodeUnavailable,
	kerr.TopicAuthorizationFailed: leat.CodePermissionDenied, kerr.ClusterAuthorizationFailed: leat.CodePermissionDenied,
	kerr.TransactionalIDAuthorizationFailed: leat.CodePermissionDenied,
	kerr.SaslAuthenticationFailed:           leat.CodeUnauthenticated, kerr.UnsupportedSaslMechanism: leat.CodeUnauthenticated,
	kerr.IllegalSaslState:            leat.CodeUnauthenticated,
	kerr.UnsupportedForMessageFormat: leat.CodeUnsupported, kerr.UnsupportedCompressionType: leat.CodeUnsupported,
	kerr.UnsupportedVersion: leat.CodeUnsupported,
}

// passing says that a client tries again after err.
func passing(err *kerr.Error) bool {
	again := []*kerr.Error{
		kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerIDMapping, kerr.InvalidProducerEpoch,
		kerr.ConcurrentTransactions,
	}
	return err.Retriable && err != kerr.CorruptMessage || slices.Contains(again, err)
}

// wantAfter is the outcome after one such answer; 0 is success.
func wantAfter(err *kerr.Error) leat.Code {
	switch code, refused := refusals[err]; {
	case refused:
		return code
	case passing(err), err == kerr.DuplicateSequenceNumber: // which says that the batch is stored already
		return 0
	}
	return leat.CodeUnknown
}

// topicFor makes a topic for a case.
func (f *fake) topicFor(prefix string, err *kerr.Error) (string, error) {
	topic := fmt.Sprintf("%s-%d", prefix, err.Code+1)
	return topic, f.CreateTopic(topic, 1, nil)
}

func codeName(err *kerr.Error) string { return err.Message }

// agree checks outcomes against what is stored: confirmed once, refused never, unknown at most
// once, in the order of publishing.
func (f *fake) agree(topic string, events []leat.Event, errs []error) error {
	partitions, err := stored(topic, f.ListenAddrs()...)
	if err != nil {
		return err
	}
	return agree(partitions, events, errs)
}

func agree(partitions [][]string, events []leat.Event, errs []error) error {
	for i, e := range events {
		n := count(partitions, e.ID())
		switch code := leat.CodeOf(errs[i]); {
		case code == 0 && n != 1, code == leat.CodeUnknown && n > 1, code != 0 && code != leat.CodeUnknown && n > 0:
			return fmt.Errorf("event %s is stored %d times, and its outcome is %w; stored are %v", e.ID(), n, errs[i], partitions)
		}
	}
	for _, ids := range partitions {
		if !slices.IsSorted(ids) {
			return fmt.Errorf("stored out of order: %v", ids)
		}
	}
	return nil
}

// TestProduceErrorCodes answers one produce request with each of Kafka's error codes.
func TestProduceErrorCodes(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	table(t, kafkaErrors(), codeName, func(code *kerr.Error) error { return f.produceOnce(code) })
}

func (f *fake) produceOnce(code *kerr.Error) error {
	topic, err := f.topicFor("once", code)
	if err != nil {
		return err
	}
	o := quick(f.ListenAddrs()...)
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	events := []leat.Event{event("0", "k"), event("1", "k"), event("2", "k"), event("3", "k")}
	errs := make([]error, 4)
	errs[0] = publishOne(b, topic, events[0], 10*time.Second)
	fault := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: code})
	both, err := publish(context.Background(), b, topic, events[1:3]...).wait(10 * time.Second)
	if err != nil {
		return err
	}
	copy(errs[1:], both)
	errs[3] = publishOne(b, topic, events[3], 10*time.Second)
	if fault.Hits() == 0 {
		return fmt.Errorf("the fault was not met")
	}
	if errs[0] != nil || errs[3] != nil {
		return fmt.Errorf("before %w, after %w", errs[0], errs[3])
	}
	for _, err := range errs[1:2] {
		if got, want := leat.CodeOf(err), wantAfter(code); got != want {
			return fmt.Errorf("the outcome is %v, should be %v: %w", got, want, err)
		}
	}
	if err := b.Health(); err != nil {
		return fmt.Errorf("health in the end: %w", err)
	}
	if code == kerr.DuplicateSequenceNumber {
		return nil // the fake lies: it did not store the batch before
	}
	return f.agree(topic, events, errs)
}

// TestProduceErrorCodesThatStay answers all produce requests with an error code that passes
// elsewhere: the outcome must come within the DeliveryTimeout, and what is published afterwards
// must be stored.
func TestProduceErrorCodesThatStay(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	table(t, slices.DeleteFunc(kafkaErrors(), func(c *kerr.Error) bool { return !passing(c) }), codeName, f.produceNever)
}

func (f *fake) produceNever(code *kerr.Error) error {
	topic, err := f.topicFor("never", code)
	if err != nil {
		return err
	}
	o := quick(f.ListenAddrs()...)
	o.DeliveryTimeout = time.Second
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	// What was never sent has another outcome, and to connect may take a second on a busy machine.
	if err := publishAtLast(b, topic, event("first", "k")); err != nil {
		return err
	}
	fault := f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: code, Count: -1})
	events, errs := []leat.Event{event("0", "k"), event("1", "k")}, make([]error, 2)
	begin := time.Now()
	errs[0] = publishOne(b, topic, events[0], 10*time.Second)
	if took := time.Since(begin); took > o.DeliveryTimeout+3*time.Second { // 32 cases share two cores
		return fmt.Errorf("the outcome took %v", took)
	}
	want := []leat.Code{leat.CodeUnknown}
	if code == kerr.UnknownTopicOrPartition || code == kerr.UnknownTopicID {
		want = append(want, leat.CodeNotFound) // whichever comes first
	}
	if !slices.Contains(want, leat.CodeOf(errs[0])) {
		return fmt.Errorf("the outcome is %w", errs[0])
	}
	fault.Remove()
	errs[1] = publishAtLast(b, topic, events[1]) // what hangs in the client delays it
	if errs[1] != nil {
		return fmt.Errorf("afterwards: %w", errs[1])
	}
	return nil
}

// publishAtLast publishes an event again and again, because the DeliveryTimeout is short.
func publishAtLast(b leat.Broker, topic string, e leat.Event) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := publishOne(b, topic, e, 10*time.Second); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// TestRefusedAfterDoubt answers with what may mean that the batch is stored, and then refuses it:
// that is unknown, not refused.
func TestRefusedAfterDoubt(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	type doubt struct{ first, then *kerr.Error }
	var cases []doubt
	for code := range refusals {
		cases = append(cases, doubt{kerr.RequestTimedOut, code}, doubt{kerr.NotEnoughReplicasAfterAppend, code})
	}
	cases = append(cases, doubt{kerr.RequestTimedOut, kerr.UnknownTopicOrPartition})
	table(t, cases, func(d doubt) string { return d.first.Message + ", " + d.then.Message }, func(d doubt) error {
		topic, err := f.topicFor("doubt-"+d.first.Message, d.then)
		if err != nil {
			return err
		}
		o := quick(f.ListenAddrs()...)
		b, err := kafka.New(&o)
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }()
		f.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: d.first},
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: d.then, Count: -1})
		e := event("0", "k")
		errs := []error{publishOne(b, topic, e, 15*time.Second)}
		if code := leat.CodeOf(errs[0]); code != leat.CodeUnknown {
			return fmt.Errorf("the outcome is %w", errs[0])
		}
		return f.agree(topic, []leat.Event{e}, errs)
	})
}

// TestPrepareErrorCodes answers one request that comes before a produce request with each error
// code. Whatever becomes of the first event, it is as its outcome says, and the next one is stored.
func TestPrepareErrorCodes(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.InitProducerID} {
		t.Run(key.Name(), func(t *testing.T) {
			f := newFake(t)
			run := f.prepareOnce
			if key == kmsg.InitProducerID { // which names no topic: a cluster for each
				run = func(_ kmsg.Key, code *kerr.Error) error { return newFake(t).prepareOnce(key, code) }
			}
			table(t, kafkaErrors(), codeName, func(code *kerr.Error) error { return run(key, code) })
		})
	}
}

func (f *fake) prepareOnce(key kmsg.Key, code *kerr.Error) error {
	topic, err := f.topicFor("prepare", code)
	if err != nil {
		return err
	}
	o := quick(f.ListenAddrs()...)
	b, err := kafka.New(&o)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	fault := kfake.Fault{Keys: []kmsg.Key{key}, Err: code}
	if key == kmsg.Metadata {
		fault.Topic = topic
	} else {
		fault.TopLevel = true
	}
	h := f.Fault(fault)
	events, errs := []leat.Event{event("0", "k"), event("1", "k")}, make([]error, 2)
	for i, e := range events {
		errs[i] = publishOne(b, topic, e, 15*time.Second)
	}
	if h.Hits() == 0 {
		return fmt.Errorf("the fault was not met")
	}
	err = await(10*time.Second, func() error {
		if errs[1] != nil {
			errs[1] = publishOne(b, topic, events[1], 15*time.Second)
		}
		return errs[1]
	})
	if leat.CodeOf(errs[0]) == leat.CodeInternal || err != nil {
		return fmt.Errorf("the outcome is %w, then %w", errs[0], err)
	}
	return f.agree(topic, events, errs)
}
