package cases

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// newSarama returns a configuration like that of the others: idempotent, all replicas, no
// compression.
func newSarama() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Compression = sarama.CompressionNone
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	return c
}

// newMessage builds a message with the headers of the event.
func newMessage(topic, id, key string, data []byte) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic,
		Key:   sarama.StringEncoder(key),
		Value: sarama.ByteEncoder(data),
		Headers: []sarama.RecordHeader{
			{Key: []byte("ce_specversion"), Value: []byte("1.0")},
			{Key: []byte("ce_id"), Value: []byte(id)},
			{Key: []byte("ce_source"), Value: []byte(load.Source)},
			{Key: []byte("ce_type"), Value: []byte(load.Type)},
			{Key: []byte("ce_subject"), Value: []byte(load.Subject)},
			{Key: []byte("ce_time"), Value: load.Time().AppendFormat(nil, time.RFC3339Nano)},
			{Key: []byte("ce_partitionkey"), Value: []byte(key)},
			{Key: []byte("content-type"), Value: []byte(load.ContentType)},
		},
	}
}

// saramaAsync starts an AsyncProducer that has up to 10,000 messages in flight.
func saramaAsync(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
	producer, err := sarama.NewAsyncProducer(e.Addrs, newSarama())
	if err != nil {
		return nil, err
	}
	window := make(chan struct{}, load.InFlight)
	var acked atomic.Int64
	var failed load.FirstError
	var answers sync.WaitGroup
	answers.Go(func() {
		for range producer.Successes() {
			acked.Add(1)
			<-window
		}
	})
	answers.Go(func() {
		for err := range producer.Errors() {
			failed.Note(err)
			<-window
		}
	})
	return &load.Publisher{
		Publish: func(_ context.Context, first, n int) (int64, error) {
			before := acked.Load()
			for i := first; i < first+n; i++ {
				window <- struct{}{}
				id, key, data := e.names.At(i)
				producer.Input() <- newMessage(topic, id, key, data)
			}
			for range load.InFlight { // all places are free when all are answered
				window <- struct{}{}
			}
			for range load.InFlight {
				<-window
			}
			return acked.Load() - before, failed.Err()
		},
		Close: func() error {
			producer.AsyncClose()
			answers.Wait()
			return nil
		},
	}, nil
}

// saramaSync calls SendMessage from 256 goroutines.
func saramaSync(_ context.Context, e *Env, topic string) (*load.Publisher, error) {
	producer, err := sarama.NewSyncProducer(e.Addrs, newSarama())
	if err != nil {
		return nil, err
	}
	return &load.Publisher{
		Publish: func(_ context.Context, first, n int) (int64, error) {
			return load.InParallel(load.Callers, 1, first, n, func(i, _ int) error {
				id, key, data := e.names.At(i)
				_, _, err := producer.SendMessage(newMessage(topic, id, key, data))
				return err
			})
		},
		Close: producer.Close,
	}, nil
}

// saramaConsumer consumes as a consumer group, which runs a goroutine for each partition.
func saramaConsumer(_ context.Context, e *Env, topic, group string, a *load.Arrivals) (*consumer, error) {
	g, err := sarama.NewConsumerGroup(e.Addrs, group, newSarama())
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, saramaHandler{a}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	return &consumer{close: func() error {
		stop()
		return errors.Join(<-ended, g.Close())
	}}, nil
}

// saramaHandler handles messages.
type saramaHandler struct{ a *load.Arrivals }

func (saramaHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim handles the messages of a partition.
func (h saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		var id []byte
		for _, header := range m.Headers {
			if string(header.Key) == "ce_id" {
				id = header.Value
				break
			}
		}
		h.a.Handle(load.IndexOf(id))
		session.MarkMessage(m, "")
	}
	return nil
}
