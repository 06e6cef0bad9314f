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
	"time"

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
	dialer *dialer         // of the service that events go to
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	seed   maphash.Seed
	turn   atomic.Uint64 // of events without a key
	lanes  sync.Map      // []*lane by topic

	mu      sync.Mutex
	trouble fault.Symptom
	failing fault.Incident
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
	p := &publisher{b: b, tasks: &b.life.Tasks, dialer: b.toSNS.dialer, seed: maphash.MakeSeed()}
	if b.o.Mode == ModeSQS {
		p.dialer = b.toSQS.dialer
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
	}, func(entries []publish.Entry[parcel]) {
		lanes := p.lanesOf(topic)
		for i := range entries {
			lanes[p.laneOf(&entries[i].Value, len(lanes))].push(&entries[i])
		}
	})
}

// Withdraw implements [leat.Withdrawer].
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.publisher.ledger.Withdraw(ctx, topic, events)
}

func (p *publisher) lanesOf(topic string) []*lane {
	if known, ok := p.lanes.Load(topic); ok {
		return known.([]*lane) //nolint:forcetypeassert // nothing else is in it
	}
	lanes := make([]*lane, p.b.o.Lanes)
	for i := range lanes {
		lanes[i] = &lane{p: p, topic: topic}
	}
	known, _ := p.lanes.LoadOrStore(topic, lanes)
	return known.([]*lane) //nolint:forcetypeassert // nothing else is in it
}

// laneOf returns the lane of a message: that of its key, else the same one for as many as fit into
// a request.
func (p *publisher) laneOf(m *parcel, lanes int) int {
	if m.keyed {
		return int(maphash.String(p.seed, m.group) % uint64(lanes))
	}
	return int((p.turn.Add(1) - 1) / mostEntries % uint64(lanes))
}

// note notes what is wrong with publishing, and nil when a request went well.
func (p *publisher) note(err error) {
	if p.ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	p.trouble.Set(err)
	p.mu.Unlock()
	if err == nil {
		p.failing.Well("publishing to AWS works again")
		return
	}
	code := codeOf(err).String()
	p.failing.Wrong("publishing to AWS fails", code, explain(err), slog.String("code", code))
}

// wrong returns why nothing can be sent.
func (p *publisher) wrong() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble.Err
}

func (p *publisher) health() error {
	p.mu.Lock()
	since, err := p.trouble.Since, p.trouble.Err
	p.mu.Unlock()
	return fault.Join(fault.Health("", codeOf(err), since, err), p.ledger.Health())
}

func (p *publisher) close(ctx context.Context) {
	p.ledger.Close(ctx)
	p.cancel()
}

// refusal makes the outcome of events of the error of a request.
func refusal(code leat.Code, err error) error {
	if err == nil {
		return nil
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
	if b.o.Mode == ModeSQS {
		err = b.postSQS(ctx, to, batch, note)
	} else {
		err = b.postSNS(ctx, to, batch, note)
	}
	if err != nil || stored == len(batch) {
		return nil, err
	}
	return errs, nil
}

func refusedEntry(code, text *string, sender bool) error {
	short := shortCode(aws.ToString(code))
	return &leat.Error{Code: answered(short, !sender), Err: fmt.Errorf("AWS refuses the event: %s: %s", short, masked(aws.ToString(text)))}
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

// pause is the wait after a failure, which grows with their number.
type pause struct{ next time.Duration }

const (
	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

func newPause() pause { return pause{shortestPause} }

func (p *pause) reset() { p.next = shortestPause }

// sleep waits, and reports whether ctx lasted.
func (p *pause) sleep(ctx context.Context) bool {
	d := p.next
	p.next = min(2*p.next, longestPause)
	return lifecycle.Sleep(ctx, d)
}
