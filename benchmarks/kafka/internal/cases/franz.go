package cases

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz returns a client without compression.
func (e *Env) franz(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(e.Addrs...), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.DisableClientMetrics(),
	}, opts...)...)
}

// newRecord builds a record with the headers of the event, as one writes it by hand.
func newRecord(topic, id, key string, data []byte) *kgo.Record {
	return &kgo.Record{
		Topic: topic,
		Key:   []byte(key),
		Value: data,
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_id", Value: []byte(id)},
			{Key: "ce_source", Value: []byte(load.Source)},
			{Key: "ce_type", Value: []byte(load.Type)},
			{Key: "ce_subject", Value: []byte(load.Subject)},
			{Key: "ce_time", Value: load.Time().AppendFormat(nil, time.RFC3339Nano)},
			{Key: "ce_partitionkey", Value: []byte(key)},
			{Key: "content-type", Value: []byte(load.ContentType)},
		},
	}
}

// header returns the value of a record's header.
func header(r *kgo.Record, name string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value
		}
	}
	return nil
}

// franzPublisher starts a client with a way of publishing.
func franzPublisher(publish franzPublish, opts ...kgo.Opt) startPublisher {
	return func(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
		client, err := e.franz(opts...)
		if err != nil {
			return nil, err
		}
		return &load.Publisher{
			Publish: func(ctx context.Context, first, n int) (int64, error) {
				return publish(ctx, e, client, topic, first, n)
			},
			Close: func() error { client.Close(); return nil },
		}, nil
	}
}

type franzPublish func(ctx context.Context, e *Env, client *kgo.Client, topic string, first, n int) (acked int64, err error)

// produceAsync produces with as much in flight as the client allows: 10,000 records.
func produceAsync(ctx context.Context, e *Env, client *kgo.Client, topic string, first, n int) (int64, error) {
	var acked atomic.Int64
	var failed load.FirstError
	promise := func(_ *kgo.Record, err error) {
		if err == nil {
			acked.Add(1)
		}
		failed.Note(err)
	}
	for i := first; i < first+n; i++ {
		id, key, data := e.names.At(i)
		client.Produce(ctx, newRecord(topic, id, key, data), promise)
	}
	err := client.Flush(ctx)
	return acked.Load(), errors.Join(err, failed.Err())
}

// produceBatches calls ProduceSync with 1,000 records from 4 goroutines.
func produceBatches(ctx context.Context, e *Env, client *kgo.Client, topic string, first, n int) (int64, error) {
	return load.InParallel(load.Batchers, load.Batch, first, n, func(first, n int) error {
		records := make([]*kgo.Record, 0, n)
		for i := first; i < first+n; i++ {
			id, key, data := e.names.At(i)
			records = append(records, newRecord(topic, id, key, data))
		}
		return client.ProduceSync(ctx, records...).FirstErr()
	})
}

// produceSingly calls ProduceSync with one record from 256 goroutines.
func produceSingly(ctx context.Context, e *Env, client *kgo.Client, topic string, first, n int) (int64, error) {
	return load.InParallel(load.Callers, 1, first, n, func(i, _ int) error {
		id, key, data := e.names.At(i)
		return client.ProduceSync(ctx, newRecord(topic, id, key, data)).FirstErr()
	})
}

// decoded is an event as a service may read it by hand: with the right types, without any check,
// and with data of its own, because the record's is a part of all that was fetched with it.
type decoded struct {
	id, source, eventType, subject, contentType, key string
	time                                             time.Time
	data                                             []byte
}

// decodedIndex decodes a record and returns its number.
func decodedIndex(r *kgo.Record) int {
	d := &decoded{data: bytes.Clone(r.Value)}
	for _, h := range r.Headers {
		switch h.Key {
		case "ce_id":
			d.id = string(h.Value)
		case "ce_source":
			d.source = string(h.Value)
		case "ce_type":
			d.eventType = string(h.Value)
		case "ce_subject":
			d.subject = string(h.Value)
		case "ce_time":
			d.time, _ = time.Parse(time.RFC3339Nano, string(h.Value))
		case "ce_partitionkey":
			d.key = string(h.Value)
		case "content-type":
			d.contentType = string(h.Value)
		}
	}
	runtime.KeepAlive(d)
	return load.IndexOf(d.id)
}

// recordIndex returns the number of a record's event and reads nothing else.
func recordIndex(r *kgo.Record) int { return load.IndexOf(header(r, "ce_id")) }

// franzConsumer polls in a loop. With workers, events go to that many goroutines in no order, which
// take work each.
func franzConsumer(index func(r *kgo.Record) int, workers int, work time.Duration) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		client, err := e.franz(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		pool := load.NewPool(workers, work, a)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				fetches := client.PollFetches(ctx)
				if ctx.Err() != nil || fetches.IsClientClosed() {
					return
				}
				if workers > 0 {
					fetches.EachRecord(func(r *kgo.Record) { pool.Give(index(r)) })
				} else {
					fetches.EachRecord(func(r *kgo.Record) { a.Handle(index(r)) })
				}
			}
		}()
		return &consumer{
			close: func() error {
				stop()
				<-ended
				pool.Close()
				client.Close()
				return nil
			},
			buffered: func() int { return int(client.BufferedFetchRecords()) },
		}, nil
	}
}

// franzBatches polls batchSize records, takes batchWork for them, and polls again.
func franzBatches(index func(r *kgo.Record) int) startConsumer {
	return func(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
		client, err := e.franz(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				fetches := client.PollRecords(ctx, batchSize)
				if ctx.Err() != nil || fetches.IsClientClosed() {
					return
				}
				time.Sleep(batchWork)
				fetches.EachRecord(func(r *kgo.Record) { a.Handle(index(r)) })
			}
		}()
		return &consumer{
			close: func() error {
				stop()
				<-ended
				client.Close()
				return nil
			},
			buffered: func() int { return int(client.BufferedFetchRecords()) },
		}, nil
	}
}
