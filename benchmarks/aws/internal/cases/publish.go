package cases

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

func (e *Env) publish(name string, fifo bool) bench.Group {
	const leatCase = "Leat, PublishAsync"
	about := "Messages have no message group."
	if fifo {
		about = "The message group is the key, of which there are 10,000; requests with messages of one key follow each other."
	}
	return bench.Group{
		Name: name,
		About: "One goroutine publishes; every event is confirmed. The base is 16 goroutines with SendMessageBatch of 10 messages, " +
			"whose bodies are written with fmt. " + about,
		Cases: []bench.Case{
			e.publishes("AWS SDK, SendMessageBatch", fifo, rawPublisher), e.publishes(leatCase, fifo, leatPublisher),
		},
		Goals: []bench.Goal{{Case: leatCase, Metric: bench.CPURatio, Max: 1 / goal}},
	}
}

// goal is how much of the work per processor time of the SDK's calls Leat has to do.
const goal = 0.85

// publishes returns a case that publishes to a queue of its own.
func (e *Env) publishes(name string, fifo bool, start func(*queue) (*load.Publisher, error)) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, _ int) (bench.Instance, error) {
			q, err := e.queue(ctx, e.publishing, fifo)
			if err != nil {
				return nil, err
			}
			to := load.Destination{Stored: q.stored, Remove: q.remove}
			return to.Open(ctx, func() (*load.Publisher, error) { return start(q) })
		},
	}
}

func leatPublisher(q *queue) (*load.Publisher, error) {
	broker, err := q.leat(q.fifo)
	if err != nil {
		return nil, err
	}
	producer := leat.NewProducer(broker, nil)
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (int64, error) {
			return load.PublishAsync(ctx, q.env.names, producer, q.sub.Topic, first, n)
		},
		Close: broker.Close,
	}, nil
}

func rawPublisher(q *queue) (*load.Publisher, error) {
	return &load.Publisher{Publish: q.fill, Close: func() error { return nil }}, nil
}

// fill publishes with as many goroutines as Leat has lanes. The events of a key are published by
// one of them, because there are as many keys as a multiple of publishers.
func (q *queue) fill(ctx context.Context, first, n int) (int64, error) {
	var acked atomic.Int64
	var failed load.FirstError
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			batch := make([]types.SendMessageBatchRequestEntry, 0, entries)
			for i := first + (p+publishers-first%publishers)%publishers; i < first+n && failed.Err() == nil; i += publishers {
				batch = append(batch, q.entry(i, len(batch)))
				if len(batch) == entries || i+publishers >= first+n {
					failed.Note(q.send(ctx, batch))
					acked.Add(int64(len(batch)))
					batch = batch[:0]
				}
			}
		})
	}
	all.Wait()
	return acked.Load(), failed.Err()
}

func (q *queue) send(ctx context.Context, batch []types.SendMessageBatchRequestEntry) error {
	answer, err := q.sqs.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: batch})
	if err == nil && len(answer.Failed) > 0 {
		err = errors.New("a message was refused: " + aws.ToString(answer.Failed[0].Code))
	}
	return err
}

// entry builds a message with the event as JSON, as one writes it by hand.
func (q *queue) entry(i, number int) types.SendMessageBatchRequestEntry {
	id, key, data := q.env.names.At(i)
	m := types.SendMessageBatchRequestEntry{
		Id: aws.String(strconv.Itoa(number)),
		MessageBody: aws.String(fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":%q,"subject":%q,"time":%q,`+
			`"datacontenttype":%q,"partitionkey":%q,"data":%s}`,
			id, load.Source, load.Type, load.Subject, load.Time().Format(time.RFC3339Nano), load.ContentType, key, data)),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"content-type": {DataType: aws.String("String"), StringValue: aws.String("application/cloudevents+json")},
		},
	}
	if q.fifo {
		m.MessageGroupId, m.MessageDeduplicationId = &key, aws.String(rand.Text())
	}
	return m
}
