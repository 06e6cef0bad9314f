package awssnssqs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/leatgo/leat/adapterkit/lifecycle"
)

const (
	// SQS lends a message for 12 hours in all, and refuses to extend beyond them. A hold, the
	// extension that it ends with, and a delay may follow each other.
	longestDelay = time.Hour
	longestHold  = 10*time.Hour - time.Minute
	settlers     = 8                // requests of one kind at a time
	shownFor     = 5 * time.Second  // for which health shows what was wrong with a settlement
	throttledFor = 30 * time.Second // for which it shows that AWS throttled
)

// Stream is a [leat.Stream] of one queue. Each message has a lease of its own, which is its
// visibility timeout.
type Stream struct {
	*lease.Stream[string, string] // receipts by message id

	b       *Broker
	sub     leat.Subscription
	queue   queue
	opened  time.Time
	caps    leat.Capabilities
	closing lifecycle.Closing

	mu       sync.Mutex
	settling fault.Symptoms[lease.Op]
	throttle fault.Symptom

	unread, untold fault.Incident // for the log
}

// Subscribe implements [leat.Broker]. The stream is a [*Stream]. It creates what Declare does.
func (b *Broker) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	done, err := b.life.Enter(ctx, sub)
	if err != nil {
		return nil, err
	}
	defer done()
	request, cancel := b.bounded(ctx)
	defer cancel()
	defer context.AfterFunc(b.toSQS.dialer.ctx, cancel)() // with Close, which awaits this
	q, err := b.provision(request, sub)
	if err != nil {
		return nil, fail(ctx, "subscribe", sub.Topic, err)
	}
	s := b.newStream(sub.WithDefaults(), q)
	s.StartMany(lease.Asks{Most: b.o.Pollers, Batch: mostEntries}, s.ask)
	if err := b.life.Add(sub.Topic, s); err != nil {
		_ = s.Close(ctx)
		return nil, err
	}
	return s, nil
}

var errBroadcast error = &leat.Error{Code: leat.CodeUnsupported, Err: errors.New("no broadcast: SQS has no queue that ends with " +
	"its consumer; give each process a group of its own, and delete its queue when the process is gone")}

func (b *Broker) newStream(sub leat.Subscription, q queue) *Stream {
	s := &Stream{b: b, sub: sub, queue: q, opened: time.Now(), caps: leat.Capabilities{
		Order: leat.OrderPerGroup, Durable: true, DeliveryCount: true,
		LongestDelay: longestDelay, LongestHold: longestHold,
	}}
	if sub.Unordered || !q.fifo {
		s.caps.Order = leat.OrderNone
	}
	s.unread.Logger, s.untold.Logger = b.o.Logger, b.o.Logger
	s.Stream = lease.NewStream(lease.Options[string, string]{
		Term: b.o.Visibility, MaxBatch: mostEntries, Requests: settlers, Timeout: b.o.RequestTimeout, NewestFirst: true,
		ExtendTimeout: b.o.Visibility / 5,
		Send:          s.send, Report: s.report,
	}, book.Options{
		Topic: sub.Topic, MaxInFlight: sub.MaxInFlight, MaxInFlightBytes: sub.MaxInFlightBytes,
		LongestDelay: longestDelay, Unordered: s.caps.Order == leat.OrderNone, KeylessLeave: true,
	})
	return s
}

// Capabilities implements [leat.Stream].
func (s *Stream) Capabilities() leat.Capabilities { return s.caps }

// ask polls the queue once.
func (s *Stream) ask(ctx context.Context, want lease.Want[string, string]) (int, error) {
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &s.queue.url, MaxNumberOfMessages: int32(want.Events),
		WaitTimeSeconds: seconds(s.b.o.Wait), VisibilityTimeout: seconds(s.b.o.Visibility),
		MessageSystemAttributeNames: s.b.wanted(), MessageAttributeNames: []string{"All"},
	}
	if s.queue.fifo {
		in.ReceiveRequestAttemptId = aws.String(rand.Text())
	}
	asked := time.Now()
	out, err := s.receive(ctx, in)
	var messages []types.Message
	if err == nil {
		messages = out.Messages
		s.unread.Well("a queue can be read again", s.about()...)
	} else {
		s.note(err)
		if ctx.Err() == nil { // the stream is not closed
			code := codeOf(err).String()
			s.unread.Wrong("a queue cannot be read", code, explain(err), s.about(slog.String("code", code))...)
		}
		if in.ReceiveRequestAttemptId == nil || !isLost(err) {
			return 0, err
		}
		want.Aside(err)
		asked, messages = s.again(ctx, in, &want)
	}
	for i := range messages {
		m := &messages[i]
		var d leat.Delivery
		size := s.b.decode(s.sub.Topic, m, &d)
		s.Arrived(aws.ToString(m.MessageId), aws.ToString(m.ReceiptHandle), asked, &d, size)
	}
	return len(messages), nil
}

func (s *Stream) receive(ctx context.Context, in *sqs.ReceiveMessageInput) (*sqs.ReceiveMessageOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(in.WaitTimeSeconds)*time.Second+s.b.o.RequestTimeout)
	defer cancel()
	var out *sqs.ReceiveMessageOutput
	err := s.b.toSQS.do(ctx, func(ctx context.Context) (err error) {
		out, err = s.b.sqs.ReceiveMessage(ctx, in)
		return err
	})
	return out, err
}

// isLost reports whether a request may have been answered, and the answer did not arrive.
func isLost(err error) bool {
	_, answered := errors.AsType[smithy.APIError](err)
	return !answered && !isUnsent(err) && !isLogin(err)
}

// again asks for the messages of a poll whose answer is lost. They are invisible to everybody, and
// a FIFO queue answers the same again for the same attempt, for five minutes. Of the poll nobody
// knows when it began at SQS, only that its wait is over one Wait after its answer is missed. So
// again asks until messages come that [Stream.hold] gives it, until there is nothing after that
// wait, or until the visibility of what came during it is over. After want.Stop it asks for no
// longer than the wait.
func (s *Stream) again(
	ctx context.Context, in *sqs.ReceiveMessageInput, want *lease.Want[string, string],
) (asked time.Time, held []types.Message) {
	end := time.Now().Add(s.b.o.Wait)
	ctx, cancel := context.WithDeadline(ctx, end.Add(s.b.o.Visibility))
	defer cancel()
	goesOn := func() bool {
		select {
		case <-want.Stop:
			return time.Now().Before(end)
		default:
			return true
		}
	}
	in.WaitTimeSeconds = 0
	var pause lifecycle.Pause
	for goesOn() && pause.Sleep(ctx) {
		asked = time.Now()
		out, err := s.receive(ctx, in)
		switch {
		case err != nil:
		case len(out.Messages) > 0:
			if asked, held = s.hold(ctx, out.Messages, goesOn); len(held) > 0 {
				return asked, held
			}
		case asked.After(end):
			return asked, nil
		}
	}
	return asked, nil
}

// hold extends what a repeated poll has brought, and returns what may be delivered. Earlier
// requests of the attempt may still be on their way, and ElasticMQ gives each new receipts, so that
// only receipts which SQS takes count. It repeats the extension while that may help, since a queue
// does not answer an attempt any more of which something was extended. A message behind one of its
// group that is not held is given back.
func (s *Stream) hold(
	ctx context.Context, messages []types.Message, goesOn func() bool,
) (asked time.Time, held []types.Message) {
	batch := make([]lease.Entry[string, string], len(messages))
	for i := range messages {
		batch[i].Value = aws.ToString(messages[i].ReceiptHandle)
	}
	var pause lifecycle.Pause
	patience := time.Now().Add(s.b.o.Visibility / 5) // what is extended should not wait longer
	for {
		asked = time.Now()
		request, cancel := s.b.bounded(ctx)
		errs := s.send(request, lease.Extend, batch)
		cancel()
		if errs == nil {
			return asked, messages
		}
		open, some := false, false
		for _, err := range errs {
			open = open || err != nil && leat.CodeOf(err) != leat.CodeLeaseLost
			some = some || err == nil
		}
		if !open || some && time.Now().After(patience) || !goesOn() || !pause.Sleep(ctx) {
			return asked, s.part(ctx, messages, batch, errs)
		}
	}
}

// part returns the messages that are extended and have none of their group before them which is
// not. It gives back the others that may be, the newest first.
func (s *Stream) part(
	ctx context.Context, messages []types.Message, batch []lease.Entry[string, string], errs []error,
) (held []types.Message) {
	missing, back := map[string]bool{}, []lease.Entry[string, string]{}
	for i := range messages {
		group := messages[i].Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
		if errs[i] == nil && !missing[group] {
			held = append(held, messages[i])
			continue
		}
		missing[group] = true
		if leat.CodeOf(errs[i]) != leat.CodeLeaseLost {
			back = append(back, batch[i])
		}
	}
	if len(held) > 0 && len(back) > 0 { // otherwise the attempt may be answered again
		request, cancel := s.b.bounded(ctx)
		defer cancel()
		slices.Reverse(back)
		_ = s.send(request, lease.GiveBack, back) // or their visibility ends
	}
	return held
}

// seconds returns a duration of whole seconds, or rounds it up.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

// send implements the Send of the keeper.
func (s *Stream) send(ctx context.Context, op lease.Op, batch []lease.Entry[string, string]) []error {
	var failed []types.BatchResultErrorEntry
	var err error
	if op == lease.Ack {
		failed, err = s.remove(ctx, batch)
	} else {
		failed, err = s.change(ctx, op, batch)
	}
	if err != nil {
		s.note(err)
		return lease.All(len(batch), fault.Fail(context.Background(), "settle", s.sub.Topic, codeOf(err), explain(err)))
	}
	if len(failed) == 0 {
		return nil
	}
	errs := make([]error, len(batch))
	for i := range failed {
		f := &failed[i]
		if n, ok := index(f.Id); ok && n < len(errs) {
			errs[n] = entryError(f)
		}
	}
	return errs
}

// entryError says what became of one message of a batch. What the service calls the sender's fault
// is a receipt that it does not take any more, whatever code it gives that.
func entryError(f *types.BatchResultErrorEntry) error {
	code := answered(aws.ToString(f.Code), "", !f.SenderFault)
	if f.SenderFault && (code == leat.CodeInvalid || code == leat.CodeUnavailable) {
		code = leat.CodeLeaseLost
	}
	return &leat.Error{Op: "settle", Code: code, Err: fmt.Errorf("SQS says %s", shortCode(aws.ToString(f.Code)))}
}

func (s *Stream) remove(ctx context.Context, batch []lease.Entry[string, string]) ([]types.BatchResultErrorEntry, error) {
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &s.queue.url, Entries: make([]types.DeleteMessageBatchRequestEntry, len(batch))}
	for i := range batch {
		in.Entries[i].Id, in.Entries[i].ReceiptHandle = entryID(i), &batch[i].Value
	}
	out, err := s.b.sqs.DeleteMessageBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	return out.Failed, nil
}

func (s *Stream) change(
	ctx context.Context, op lease.Op, batch []lease.Entry[string, string],
) ([]types.BatchResultErrorEntry, error) {
	in := &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: &s.queue.url, Entries: make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch)),
	}
	for i := range batch {
		in.Entries[i].Id, in.Entries[i].ReceiptHandle = entryID(i), &batch[i].Value
		in.Entries[i].VisibilityTimeout = seconds(batch[i].Delay)
		if op == lease.Extend {
			in.Entries[i].VisibilityTimeout = seconds(s.b.o.Visibility)
		}
	}
	out, err := s.b.sqs.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		return nil, err
	}
	return out.Failed, nil
}

// entryIDs are the ids of the entries of a request.
var entryIDs = [mostEntries]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}

func entryID(i int) *string { return &entryIDs[i] }

// index returns the place of an entry with the given id.
func index(id *string) (int, bool) {
	if id == nil || len(*id) != 1 || (*id)[0] < '0' || (*id)[0] > '9' {
		return 0, false
	}
	return int((*id)[0] - '0'), true
}

// note remembers that AWS throttles.
func (s *Stream) note(err error) {
	if codeOf(err) != leat.CodeExhausted {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.throttle.Set(explain(err))
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
		s.untold.Well("a queue takes what it is told again", s.about()...)
	} else if err != nil {
		code := codeOf(err).String()
		s.untold.Wrong("a queue does not take acks, extensions or events that are given back", code, err, s.about(slog.String("code", code))...)
	}
}

// about returns the attributes of a line of the log.
func (s *Stream) about(more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("topic", s.sub.Topic), slog.String("group", s.sub.Group)}, more...)
}

// Health returns nil, or an [*leat.Error] that says what is wrong with the subscription.
func (s *Stream) Health() error {
	var errs []error
	if note := s.queue.redriveNote(); note != "" {
		errs = append(errs, fault.Health(s.sub.Topic, leat.CodeConflict, s.opened, errors.New(note)))
	}
	if since, err := s.Failing(); err != nil {
		errs = append(errs, fault.Health(s.sub.Topic, codeOf(err), since, explain(err)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, symptom := range s.settling.All() {
		if !symptom.Within(shownFor) { // nothing was to be sent since
			continue
		}
		errs = append(errs, fault.Health(s.sub.Topic, codeOf(symptom.Err), symptom.Since, symptom.Err))
	}
	if s.throttle.Within(throttledFor) {
		errs = append(errs, fault.Health(s.sub.Topic, leat.CodeExhausted, s.throttle.Since, s.throttle.Err))
	}
	return fault.Join(errs...)
}

// Close implements [leat.Stream].
func (s *Stream) Close(ctx context.Context) error {
	if !s.closing.Begin(ctx) {
		return nil
	}
	defer s.closing.End()
	err := s.Stream.Close(ctx)
	s.b.life.Remove(s)
	if err != nil {
		return fault.Fail(ctx, "close", s.sub.Topic, codeOf(err), fmt.Errorf("some acks are not confirmed: %w", err))
	}
	return nil
}
