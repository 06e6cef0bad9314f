package awssnssqs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
)

// publisher shares events out to the lanes of their topics.
type publisher struct {
	b      *Broker
	ledger *publish.Ledger[parcel]
	tasks  *lifecycle.Tasks
	to     *service        // that events go to
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	seed   maphash.Seed
	turn   atomic.Uint64 // of events without a key

	mu      sync.Mutex
	lanes   map[laneKey]*lane
	trouble fault.Symptom
	failing fault.Incident // for the log
}

// parcel is what is kept for an event.
type parcel struct {
	message

	dedup    string // the deduplication id, for FIFO
	doubtful bool   // a request with it has no answer, so that it may be stored
}

// outcome returns what an error says of an event: where that is in doubt, nothing.
func (m *parcel) outcome(err error) error {
	if err == nil || !m.doubtful {
		return err
	}
	return &leat.Error{Code: leat.CodeUnknown, Err: inner(err)}
}

func newPublisher(b *Broker) *publisher {
	p := &publisher{b: b, tasks: &b.life.Tasks, to: &b.toSNS, seed: maphash.MakeSeed(), lanes: map[laneKey]*lane{}}
	if b.o.Mode == ModeSQS {
		p.to = &b.toSQS
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.failing.Logger = b.o.Logger
	p.ledger = publish.New[parcel](publish.Options{
		Events: b.o.Buffer, Bytes: b.o.BufferBytes, Timeout: b.o.DeliveryTimeout, Trouble: p.wrong,
	})
	return p
}

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound
// (there is no such topic), CodeExhausted (throttled until the [Options].DeliveryTimeout),
// CodePermissionDenied, CodeUnauthenticated, CodeUnavailable (not sent within the DeliveryTimeout),
// CodeCanceled or CodeClosed. CodeUnknown is what was sent and not answered. FIFO topics are asked
// again before that, which stores nothing twice.
func (b *Broker) Publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
) {
	p, wrong, trace := b.publisher, b.life.RefusePublish(ctx, topic), leat.TraceFrom(ctx)
	p.ledger.Publish(ctx, topic, events, done, func(e leat.Event, value *parcel) error {
		if err := cmp.Or(wrong, publish.Check(e, b.o.mostEventBytes())); err != nil {
			return err
		}
		value.dedup = rand.Text()
		return b.encode(e, trace, &value.message)
	}, func(entries []publish.Entry[parcel]) { p.push(topic, entries) })
}

// Withdraw implements [leat.Withdrawer].
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.publisher.ledger.Withdraw(ctx, topic, events)
}

// numberOf returns the lane of a message: that of its key, else the same one for as many as fit
// into a request.
func (p *publisher) numberOf(m *parcel) int {
	lanes := uint64(p.b.o.Lanes)
	if m.keyed {
		return int(maphash.String(p.seed, m.group) % lanes)
	}
	return int((p.turn.Add(1) - 1) / mostEntries % lanes)
}

// note notes what is wrong with publishing, and nil when a request went well. That an outcome is
// unknown means here that nobody has answered.
func (p *publisher) note(err error) {
	if p.ctx.Err() != nil {
		return
	}
	code := codeOf(err)
	if code == leat.CodeUnknown {
		code = leat.CodeUnavailable
	}
	err = refusal(code, err)
	p.mu.Lock()
	p.trouble.Set(err)
	p.mu.Unlock()
	if err == nil {
		p.failing.Well("publishing to AWS works again")
		return
	}
	p.failing.Wrong("publishing to AWS fails", code.String(), err, slog.String("code", code.String()))
}

// symptom returns what is wrong with publishing. Where nothing waits any more, the last trouble
// says little about now.
func (p *publisher) symptom() fault.Symptom {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lanes) == 0 && !p.trouble.Within(shownFor) {
		return fault.Symptom{}
	}
	return p.trouble
}

// wrong returns why nothing can be sent.
func (p *publisher) wrong() error { return p.symptom().Err }

func (p *publisher) health() error {
	s := p.symptom()
	return fault.Join(fault.Health("", codeOf(s.Err), s.Since, s.Err), p.ledger.Health())
}

func (p *publisher) close(ctx context.Context) {
	p.ledger.Close(ctx)
	p.cancel()
}

// refusal makes the outcome of events of the error of a request. A request that was canceled had
// the adapter's own timeout.
func refusal(code leat.Code, err error) error {
	if err == nil {
		return nil
	}
	if code == leat.CodeCanceled {
		code = leat.CodeUnavailable
	}
	return &leat.Error{Code: code, Err: inner(explain(err))}
}

func inner(err error) error {
	if own, ok := err.(*leat.Error); ok { //nolint:errorlint // only the outermost
		return own.Err
	}
	return err
}

var errMissing = errors.New("the answer says nothing of this event")

// post sends a request with events. The error is that of the request; errs are those of its
// entries, nil where all are stored.
func (b *Broker) post(ctx context.Context, to target, batch []*publish.Entry[parcel]) (errs []error, err error) {
	errs = make([]error, len(batch))
	for i := range errs {
		errs[i] = &leat.Error{Code: leat.CodeUnknown, Err: errMissing}
	}
	stored := 0
	note := func(id *string, err error) {
		if i, ok := index(id); ok && i < len(errs) {
			errs[i] = err
			if err == nil {
				stored++
			}
		}
	}
	err = b.publisher.to.do(ctx, func(ctx context.Context) error {
		if b.o.Mode == ModeSQS {
			return b.postSQS(ctx, to, batch, note)
		}
		return b.postSNS(ctx, to, batch, note)
	})
	if err != nil || stored == len(batch) {
		return nil, err
	}
	return errs, nil
}

func refusedEntry(code, text *string, sender bool) error {
	short, why := shortCode(aws.ToString(code)), aws.ToString(text)
	said := fmt.Sprintf("AWS refuses the event: %s: %s", short, masked(why))
	if _, known := codes[short]; !known && sender {
		return &leat.Error{Code: leat.CodeUnavailable, Err: &strange{said}}
	}
	return &leat.Error{Code: answered(short, why, !sender), Err: errors.New(said)}
}

func (b *Broker) postSQS(ctx context.Context, to target, batch []*publish.Entry[parcel], note func(id *string, err error)) error {
	in := &sqs.SendMessageBatchInput{QueueUrl: &to.id, Entries: make([]sqstypes.SendMessageBatchRequestEntry, len(batch))}
	for i, e := range batch {
		m, entry := &e.Value, &in.Entries[i]
		entry.Id, entry.MessageBody = entryID(i), &m.body
		entry.MessageGroupId, entry.MessageDeduplicationId = b.groupOf(to, m)
		entry.MessageAttributes = m.forSQS()
	}
	out, err := b.sqs.SendMessageBatch(ctx, in)
	if err != nil {
		return err
	}
	for i := range out.Successful {
		note(out.Successful[i].Id, nil)
	}
	for i := range out.Failed {
		f := &out.Failed[i]
		note(f.Id, refusedEntry(f.Code, f.Message, f.SenderFault))
	}
	return nil
}

func (b *Broker) postSNS(ctx context.Context, to target, batch []*publish.Entry[parcel], note func(id *string, err error)) error {
	in := &sns.PublishBatchInput{TopicArn: &to.id, PublishBatchRequestEntries: make([]snstypes.PublishBatchRequestEntry, len(batch))}
	for i, e := range batch {
		m, entry := &e.Value, &in.PublishBatchRequestEntries[i]
		entry.Id, entry.Message = entryID(i), &m.body
		entry.MessageGroupId, entry.MessageDeduplicationId = b.groupOf(to, m)
		entry.MessageAttributes = m.forSNS()
	}
	out, err := b.sns.PublishBatch(ctx, in)
	if err != nil {
		return err
	}
	for i := range out.Successful {
		note(out.Successful[i].Id, nil)
	}
	for i := range out.Failed {
		f := &out.Failed[i]
		note(f.Id, refusedEntry(f.Code, f.Message, f.SenderFault))
	}
	return nil
}

// groupOf returns the message group and the deduplication id of a message, as far as its target
// takes them. The deduplication id is random: an event that is published twice is stored twice,
// such as one that a poison queue gives back.
func (b *Broker) groupOf(to target, m *parcel) (group, dedup *string) {
	if to.fifo {
		return &m.group, &m.dedup
	}
	if b.o.FairQueues && m.keyed {
		return &m.group, nil
	}
	return nil, nil
}
