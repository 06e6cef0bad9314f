package awssnssqs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/middleware"
)

// receipts knows what the clients of the adapter have received, by their requests, so that the
// harness can take it away: SQS has no call that does so without a receipt.
type receipts struct {
	mu     sync.Mutex
	queues map[string]*lent // by name
}

// lent is what a queue has lent to clients of the adapter.
type lent struct {
	polls sync.RWMutex // each request for messages holds it for reading

	mu      sync.Mutex
	held    []types.Message // the oldest first
	refused map[string]bool // handles that the queue has refused
	changed chan struct{}   // closed when refused changes
}

// of returns the queue with a URL or a name.
func (r *receipts) of(url string) *lent {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := url[strings.LastIndex(url, "/")+1:]
	if r.queues == nil {
		r.queues = map[string]*lent{}
	}
	if r.queues[name] == nil {
		r.queues[name] = &lent{refused: map[string]bool{}, changed: make(chan struct{})}
	}
	return r.queues[name]
}

// watch looks at the requests of a client of the SDK.
func (r *receipts) watch(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("receipts", r.look), middleware.After)
}

func (r *receipts) look(
	ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
) (middleware.InitializeOutput, middleware.Metadata, error) {
	if poll, ok := in.Parameters.(*sqs.ReceiveMessageInput); ok {
		q := r.of(*poll.QueueUrl)
		q.polls.RLock()
		defer q.polls.RUnlock()
	}
	out, metadata, err := next.HandleInitialize(ctx, in)
	switch result := out.Result.(type) {
	case *sqs.ReceiveMessageOutput:
		if poll, ok := in.Parameters.(*sqs.ReceiveMessageInput); ok && err == nil {
			r.of(*poll.QueueUrl).take(result.Messages)
		}
	case *sqs.DeleteMessageBatchOutput:
		if deletes, ok := in.Parameters.(*sqs.DeleteMessageBatchInput); ok && err == nil {
			handles := map[string]string{}
			for _, e := range deletes.Entries {
				handles[*e.Id] = *e.ReceiptHandle
			}
			r.of(*deletes.QueueUrl).told(handles, result.Failed)
		}
	case *sqs.ChangeMessageVisibilityBatchOutput:
		if changes, ok := in.Parameters.(*sqs.ChangeMessageVisibilityBatchInput); ok && err == nil {
			handles := map[string]string{}
			for _, e := range changes.Entries {
				handles[*e.Id] = *e.ReceiptHandle
			}
			r.of(*changes.QueueUrl).told(handles, result.Failed)
		}
	}
	return out, metadata, err
}

// take notes what came.
func (q *lent) take(messages []types.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		q.held = slices.DeleteFunc(q.held, func(old types.Message) bool { return *old.MessageId == *m.MessageId })
		q.held = append(q.held, m)
	}
}

// told notes which handles the queue has refused.
func (q *lent) told(handles map[string]string, failed []types.BatchResultErrorEntry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range failed {
		q.refused[handles[*f.Id]] = f.SenderFault
	}
	close(q.changed)
	q.changed = make(chan struct{})
}

// thief is another consumer of a queue.
type thief struct {
	*sqs.Client

	q    *lent
	url  *string
	term time.Duration // for which the queue lends a message
}

// steal takes what the clients hold, as when its time is over and another consumer receives it. It
// returns what it took, and the handles that the clients have.
func (t *thief) steal(ctx context.Context) (loot []types.Message, handles []string, err error) {
	t.q.polls.Lock() // so that no client receives it first
	defer t.q.polls.Unlock()
	t.q.mu.Lock()
	held := t.q.held
	t.q.held = nil
	t.q.mu.Unlock()
	t.release(ctx, held)
	for of := map[string]bool{}; ; {
		got, err := t.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: t.url, MaxNumberOfMessages: 10, VisibilityTimeout: int32(3 * t.term / time.Second),
		})
		if err != nil || len(got.Messages) == 0 {
			return loot, handles, err
		}
		loot = append(loot, got.Messages...)
		for _, m := range got.Messages {
			of[*m.MessageId] = true
		}
		handles = handles[:0]
		for _, m := range held {
			if of[*m.MessageId] {
				handles = append(handles, *m.ReceiptHandle)
			}
		}
	}
}

// release makes messages visible again, the newest first, so that a group goes on when all of it is
// there. It ignores what was deleted, or received by somebody else.
func (t *thief) release(ctx context.Context, messages []types.Message) {
	for _, m := range slices.Backward(messages) {
		_, _ = t.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: t.url, ReceiptHandle: m.ReceiptHandle})
	}
}

// awaitRefusals waits until the queue has refused each handle, by which a client learns that it has
// lost a message, or until the leases are over.
func (t *thief) awaitRefusals(ctx context.Context, handles []string) error {
	over := time.NewTimer(t.term)
	defer over.Stop()
	for {
		t.q.mu.Lock()
		left := slices.ContainsFunc(handles, func(h string) bool { return !t.q.refused[h] })
		changed := t.q.changed
		t.q.mu.Unlock()
		if !left {
			return nil
		}
		select {
		case <-changed:
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// expire takes what the clients hold away until they know it, and gives it back.
func (t *thief) expire(ctx context.Context) error {
	loot, handles, err := t.steal(ctx)
	if err == nil {
		err = t.awaitRefusals(ctx, handles)
	}
	t.release(context.WithoutCancel(ctx), loot)
	return errors.Join(err, ctx.Err())
}
