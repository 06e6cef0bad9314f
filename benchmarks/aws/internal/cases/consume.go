package cases

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

func (e *Env) consume(name string, fifo bool) bench.Group {
	const leatCase = "Leat"
	about := "Leat decodes and validates each event, and runs 16 handlers behind `middleware.Retry`, without order."
	if fifo {
		about = "Leat decodes and validates each event, keeps the order of keys, of which there are 10,000, and runs 16 handlers behind " +
			"`middleware.Retry`."
	}
	return bench.Group{
		Name: name,
		About: "One consumer of a queue that was filled before; the handler only checks that each event comes once. The base is 8 " +
			"goroutines that call ReceiveMessage for 10 messages, and then DeleteMessageBatch. " + about,
		Cases: []bench.Case{
			e.consumes("AWS SDK, ReceiveMessage", fifo, fifo, rawConsumer), e.consumes(leatCase, fifo, fifo, leatConsumer(16, 0)),
		},
		Goals: []bench.Goal{{Case: leatCase, Metric: bench.CPURatio, Max: 1 / goal}},
	}
}

func (e *Env) sleeping() bench.Group {
	const leatCase, handlers, work = "Leat, order by key", 100, time.Millisecond
	return bench.Group{
		Name: "sleeping",
		About: "100 handlers that work for 1 ms, on a FIFO queue that was filled before, whose messages have 10,000 keys. " +
			"The base receives with 8 goroutines and hands messages to 100, in no order; 8 more delete.",
		Cases: []bench.Case{
			e.consumes("AWS SDK, no order", true, false, rawPool(handlers, work)), e.consumes(leatCase, true, true, leatConsumer(handlers, work)),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}

// mostFailures is how many requests in a row may fail.
const mostFailures = 3

// startConsumer starts a party's consumer that hands every event to a, and returns what ends it.
type startConsumer func(q *queue, a *load.Arrivals) (closeIt func() error, err error)

// consuming is a case that consumes a queue that was filled before.
type consuming struct {
	*load.Arrivals

	queue   *queue
	closeIt func() error
}

func (e *Env) consumes(name string, fifo, ordered bool, start startConsumer) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, n int) (bench.Instance, error) {
			n += bench.WarmUp(n)
			q, err := e.queue(ctx, e.consuming, fifo)
			if err != nil {
				return nil, err
			}
			c := &consuming{Arrivals: load.NewArrivals(n, ordered), queue: q}
			if _, err = q.fill(ctx, 0, n); err == nil {
				c.closeIt, err = start(q, c.Arrivals)
			}
			if err != nil {
				return nil, errors.Join(err, q.remove(ctx))
			}
			return c, nil
		},
	}
}

// Run lets n more events through and waits for them.
func (c *consuming) Run(ctx context.Context, n int) error {
	c.Expect(n)
	return errors.Join(c.Wait(ctx), c.Err())
}

// Close ends the consumer and deletes its queue.
func (c *consuming) Close() error {
	c.Release()
	return errors.Join(c.closeIt(), c.Err(), c.queue.remove(context.Background()))
}

func leatConsumer(handlers int, work time.Duration) startConsumer {
	return func(q *queue, a *load.Arrivals) (func() error, error) {
		broker, err := q.leat(q.fifo)
		if err != nil {
			return nil, err
		}
		return load.Consume(broker, q.sub, a, handlers, inFlight, work).Close, nil
	}
}

// rawConsumer handles and deletes what a request has brought before the next request, as a loop
// that one writes by hand.
func rawConsumer(q *queue, a *load.Arrivals) (func() error, error) {
	return q.poll(func(ctx context.Context, messages []types.Message) {
		handles := make([]string, 0, entries)
		for i := range messages {
			a.Handle(indexOf(&messages[i]))
			handles = append(handles, *messages[i].ReceiptHandle)
		}
		q.delete(ctx, handles)
	}), nil
}

// rawPool has goroutines that handle messages in no order, and others that delete them.
func rawPool(handlers int, work time.Duration) startConsumer {
	return func(q *queue, a *load.Arrivals) (func() error, error) {
		messages, handled := make(chan types.Message, inFlight), make(chan string, inFlight)
		var workers, deleting sync.WaitGroup
		for range handlers {
			workers.Go(func() {
				for m := range messages {
					time.Sleep(work)
					a.Handle(indexOf(&m))
					handled <- *m.ReceiptHandle
				}
			})
		}
		for range deleters {
			deleting.Go(func() { q.deleteAll(handled) })
		}
		stop := q.poll(func(_ context.Context, got []types.Message) {
			for _, m := range got {
				messages <- m
			}
		})
		return func() error {
			err := stop()
			close(messages)
			workers.Wait()
			close(handled)
			deleting.Wait()
			return err
		}, nil
	}
}

// poll asks for messages with pollers goroutines until what it returns is called. A request that
// fails on a busy machine is made again, as Leat does; what its answer had comes again later.
func (q *queue) poll(handle func(context.Context, []types.Message)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var failed load.FirstError
	var all sync.WaitGroup
	for range pollers {
		all.Go(func() {
			for failures := 0; ctx.Err() == nil; {
				got, err := q.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
					QueueUrl: &q.url, MaxNumberOfMessages: entries, WaitTimeSeconds: 1, MessageAttributeNames: []string{"All"},
					MessageSystemAttributeNames: []types.MessageSystemAttributeName{
						types.MessageSystemAttributeNameApproximateReceiveCount, types.MessageSystemAttributeNameMessageGroupId,
					},
				})
				if err == nil {
					failures = 0
					handle(ctx, got.Messages)
				} else if failures++; failures > mostFailures && ctx.Err() == nil {
					failed.Note(err)
					return
				}
			}
		})
	}
	return func() error {
		cancel()
		all.Wait()
		return failed.Err()
	}
}

// delete deletes up to entries messages. What fails comes again, which the handler notices.
func (q *queue) delete(ctx context.Context, handles []string) {
	if len(handles) == 0 {
		return
	}
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
	for i := range handles {
		in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: &handles[i]})
	}
	_, _ = q.sqs.DeleteMessageBatch(ctx, in)
}

// deleteAll deletes what arrives, as much at a time as has arrived.
func (q *queue) deleteAll(handled <-chan string) {
	for handle := range handled {
		batch := append(make([]string, 0, entries), handle)
	more:
		for len(batch) < entries {
			select {
			case handle, ok := <-handled:
				if !ok {
					break more
				}
				batch = append(batch, handle)
			default:
				break more
			}
		}
		q.delete(context.Background(), batch)
	}
}

// indexOf returns the number of a message's event, whose id is the first thing in its body that is
// called so.
func indexOf(m *types.Message) int {
	_, rest, _ := strings.Cut(*m.Body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return load.IndexOf(id)
}
