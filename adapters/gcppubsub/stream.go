package gcppubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

const (
	longestDelay = 24 * time.Hour
	mostIDs      = 2500            // in a request to acknowledge or to extend
	mostIDBytes  = 500 << 10       // likewise
	settlers     = 4               // requests of one kind at a time
	shownFor     = 5 * time.Second // for which health shows what was wrong with a settlement
	broadcastTTL = day             // after which Pub/Sub deletes the subscription of a broadcast
	broadcastFor = time.Hour       // for which that keeps messages
)

// Stream is a [leat.Stream] of one subscription. Each message has a lease of its own, which is its
// ack deadline.
type Stream struct {
	*lease.Stream[string, string] // ack ids by message id

	b       *Broker
	sub     leat.Subscription
	name    string // the full name of the subscription
	caps    leat.Capabilities
	closing lifecycle.Closing
	clients []string // the client id of each pull, for good; only ask has it

	mu       sync.Mutex
	settling fault.Symptoms[lease.Op]
	pulling  fault.Symptoms[int] // by number of the pull
	disorder fault.Symptom       // where Pub/Sub says that the subscription keeps no order

	unread, untold fault.Incident // for the log
}

// Subscribe implements [leat.Broker]. The stream is a [*Stream]. It creates what Declare does, and
// for a Broadcast a subscription of its own, which Close deletes. After a crash Pub/Sub deletes it
// in a day.
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return nil, err
	}
	defer done()
	request, cancel := b.bounded(ctx)
	defer cancel()
	is, err := b.provision(request, sub)
	if err == nil && sub.Broadcast {
		is, err = b.createBroadcast(request, sub, b.o.path("subscriptions", SubscriptionName(sub.Topic, "broadcast-"+rand.Text())))
	}
	if err != nil {
		return nil, fail(ctx, "subscribe", sub.Topic, err)
	}
	s := b.newStream(sub.WithDefaults(), is)
	s.Start(s.ask)
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// createBroadcast creates the subscription of a broadcast.
func (b *Broker) createBroadcast(ctx context.Context, sub leat.Subscription, name string) (*pb.Subscription, error) {
	topic, _ := b.topicPath(sub.Topic)
	is, err := b.subscriptions.CreateSubscription(ctx, &pb.Subscription{
		Name: name, Topic: topic, EnableMessageOrdering: !sub.Unordered, AckDeadlineSeconds: int32(b.o.AckDeadline / time.Second),
		MessageRetentionDuration: seconds(broadcastFor), ExpirationPolicy: &pb.ExpirationPolicy{Ttl: seconds(broadcastTTL)},
		Filter: b.o.Filter, Labels: map[string]string{topicLabel: label(sub.Topic)},
	})
	if err != nil {
		return nil, about("creating a subscription of the topic", topic, err)
	}
	return is, nil
}

func (b *Broker) newStream(sub leat.Subscription, is *pb.Subscription) *Stream {
	s := &Stream{b: b, sub: sub, name: is.GetName(), caps: leat.Capabilities{
		Order: leat.OrderPerGroup, Durable: true, Broadcast: sub.Broadcast, DeliveryCount: is.GetDeadLetterPolicy() != nil,
		LongestDelay: longestDelay,
	}}
	if sub.Unordered || !is.GetEnableMessageOrdering() {
		s.caps.Order = leat.OrderNone
	}
	s.unread.Logger, s.untold.Logger = b.o.Logger, b.o.Logger
	s.Stream = lease.NewStream(lease.Options[string, string]{
		Term: b.o.AckDeadline, MaxBatch: mostIDs, Requests: settlers, Timeout: b.o.RequestTimeout, Discard: sub.Broadcast,
		Send: s.send, Report: s.report,
	}, book.Options{
		Topic: sub.Topic, MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes,
		LongestDelay: longestDelay, Unordered: s.caps.Order == leat.OrderNone,
	})
	return s
}

// Capabilities implements [leat.Stream].
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// send implements the Send of the keeper.
func (s *Stream) send(ctx context.Context, op lease.Op, batch []lease.Entry[string, string]) []error {
	ids := lease.Values(batch)
	errs, failed := make([]error, 0, len(ids)), false
	for len(ids) > 0 {
		part := ids[:fitting(ids)]
		ids = ids[len(part):]
		err := s.tell(ctx, op, part)
		if err == nil {
			errs = append(errs, make([]error, len(part))...)
			continue
		}
		each := entryErrors(part, err)
		errs, failed = append(errs, each...), true
		if i := slices.IndexFunc(each, goesAgain); op == lease.GiveBack && i >= 0 { // what follows would come before it
			errs = append(errs, lease.All(len(ids), each[i])...)
			break
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// goesAgain reports whether the keeper repeats what got an error.
func goesAgain(err error) bool { return err != nil && leat.CodeOf(err) != leat.CodeLeaseLost }

// fitting returns how many ids fit into a request.
func fitting(ids []string) int {
	const each = 4
	size := 0
	for i, id := range ids {
		if size += len(id) + each; size > mostIDBytes && i > 0 {
			return i
		}
	}
	return len(ids)
}

// tell tells Pub/Sub about messages. What is given back may be delivered at once.
func (s *Stream) tell(ctx context.Context, op lease.Op, ids []string) error {
	if op == lease.Ack {
		return s.b.subscriptions.Acknowledge(ctx, &pb.AcknowledgeRequest{Subscription: s.name, AckIds: ids})
	}
	r := &pb.ModifyAckDeadlineRequest{Subscription: s.name, AckIds: ids}
	if op == lease.Extend {
		r.AckDeadlineSeconds = int32(s.b.o.AckDeadline / time.Second)
	}
	return s.b.subscriptions.ModifyAckDeadline(ctx, r)
}

func (s *Stream) report(op lease.Op, err error) {
	if leat.CodeOf(err) == leat.CodeLeaseLost { // told by the lease
		err = nil
	}
	s.mu.Lock()
	s.settling.Set(op, err)
	well := s.settling.None()
	s.mu.Unlock()
	if well {
		s.untold.Well("a subscription takes what it is told again", s.about()...)
	} else if err != nil {
		code := codeOf(err).String()
		s.untold.Wrong("a subscription does not take acks, extensions or events that are given back", code, err,
			s.about(slog.String("code", code))...)
	}
}

// compare compares what Pub/Sub says of the subscription with what the stream promises. It matters
// where the stream might not look, and where the subscription was replaced.
func (s *Stream) compare(is *pb.StreamingPullResponse_SubscriptionProperties) {
	if s.caps.Order == leat.OrderNone {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if is.GetMessageOrderingEnabled() {
		s.disorder.Set(nil)
	} else {
		s.disorder.Set(errDisorder)
	}
}

var errDisorder error = &leat.Error{Code: leat.CodeUnsupported, Err: errors.New("the subscription has no message ordering, which " +
	"cannot be changed; set Subscription.Unordered, or delete it")}

// about returns the attributes of a line of the log.
func (s *Stream) about(more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("topic", s.sub.Topic), slog.String("group", s.sub.Group)}, more...)
}

// Health returns nil, or an [*leat.Error] that says what is wrong with the subscription.
func (s *Stream) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, symptom := range s.pulling.All() {
		errs = append(errs, fault.Health(s.sub.Topic, codeOf(symptom.Err), symptom.Since, explain(symptom.Err)))
		break // the others are about the same
	}
	for _, symptom := range s.settling.All() {
		if symptom.Within(shownFor) { // otherwise nothing was to be sent since
			errs = append(errs, fault.Health(s.sub.Topic, codeOf(symptom.Err), symptom.Since, symptom.Err))
		}
	}
	if s.disorder.Err != nil {
		errs = append(errs, fault.Health(s.sub.Topic, codeOf(s.disorder.Err), s.disorder.Since, s.disorder.Err))
	}
	return fault.Join(errs...)
}

// Close implements [leat.Stream]. Its error also says that the subscription of a Broadcast could
// not be deleted within [Options].RequestTimeout; Pub/Sub deletes it in a day then.
func (s *Stream) Close(ctx context.Context) error {
	if !s.closing.Begin(ctx) {
		return nil
	}
	defer s.closing.End()
	err := s.Stream.Close(ctx)
	if err != nil {
		err = fault.Fail(ctx, "close", s.sub.Topic, codeOf(err), errors.Join(errUnsaid, err))
	}
	err = fault.Join(err, s.deleteBroadcast(ctx))
	s.b.life.Remove(s)
	return err
}

// deleteBroadcast deletes the subscription of a broadcast.
func (s *Stream) deleteBroadcast(ctx context.Context) error {
	if !s.sub.Broadcast {
		return nil
	}
	request, cancel := s.b.bounded(ctx)
	defer cancel()
	err := s.b.subscriptions.DeleteSubscription(request, &pb.DeleteSubscriptionRequest{Subscription: s.name})
	if codeOf(err) == leat.CodeNotFound {
		return nil
	}
	return fail(ctx, "close", s.sub.Topic, about("deleting the subscription of the broadcast", s.name, err))
}

var errUnsaid = errors.New("what was finished last may not be acknowledged, and be handled again")
