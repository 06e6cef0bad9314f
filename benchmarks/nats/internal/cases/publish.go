package cases

import (
	"context"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// window is how many messages the native client has without an answer, as Leat has.
const window = 4096

// stall is how long it waits for room, longer than it takes on a busy machine.
const stall = 10 * time.Second

func (e *Env) publish() bench.Group {
	const leatCase = "Leat, PublishAsync"
	return bench.Group{
		Name: "publish",
		About: "One goroutine publishes to a stream with one replica, on disk; every message is confirmed. " +
			"The base is PublishMsgAsync with up to 4,096 messages without an answer.",
		Cases: []bench.Case{
			e.publishes("nats.go, PublishMsgAsync", e.rawPublisher),
			e.publishes(leatCase, e.leatPublisher),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 0.9}},
	}
}

// publishes returns a case that publishes to a stream of its own.
func (e *Env) publishes(name string, start func(topic string) (*load.Publisher, error)) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, _ int) (bench.Instance, error) {
			topic := e.topic()
			if err := e.declare(ctx, leat.Subscription{Topic: topic, Broadcast: true}); err != nil {
				return nil, err
			}
			to := load.Destination{
				Stored: func(ctx context.Context, _ int64) (int64, error) {
					s, err := e.js.Stream(ctx, topic)
					if err != nil {
						return 0, err
					}
					return int64(s.CachedInfo().State.Msgs), nil
				},
				Remove: func(ctx context.Context) error { return e.js.DeleteStream(ctx, topic) },
			}
			return to.Open(ctx, func() (*load.Publisher, error) { return start(topic) })
		},
	}
}

// message builds a message with the headers of the event, as one writes it by hand.
func message(topic, id, key string, data []byte) *client.Msg {
	return &client.Msg{Subject: "leat." + topic, Data: data, Header: client.Header{
		"ce-specversion":     {"1.0"},
		"ce-id":              {id},
		"ce-source":          {load.Source},
		"ce-type":            {load.Type},
		"ce-subject":         {load.Subject},
		"ce-time":            {load.Time().Format(time.RFC3339Nano)},
		"ce-datacontenttype": {load.ContentType},
		"ce-partitionkey":    {key},
	}}
}

func (e *Env) rawPublisher(topic string) (*load.Publisher, error) {
	conn, js, err := dial(e.addr)
	if err != nil {
		return nil, err
	}
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (int64, error) { return e.publishRaw(ctx, js, topic, first, n) },
		Close: func() error {
			conn.Close()
			return nil
		},
	}, nil
}

// publishRaw publishes with up to window messages without an answer.
func (e *Env) publishRaw(ctx context.Context, js jetstream.JetStream, topic string, first, n int) (acked int64, err error) {
	pending := make(chan jetstream.PubAckFuture, n)
	waited := make(chan error, 1)
	go func() {
		var failed error
		for f := range pending {
			select {
			case <-f.Ok():
				acked++
			case err := <-f.Err():
				failed = err
			}
		}
		waited <- failed
	}()
	for i := first; i < first+n && err == nil && ctx.Err() == nil; i++ {
		id, key, data := e.names.At(i)
		var f jetstream.PubAckFuture
		if f, err = js.PublishMsgAsync(message(topic, id, key, data), jetstream.WithStallWait(stall)); err == nil {
			pending <- f
		}
	}
	close(pending)
	err = errors.Join(err, <-waited)
	return acked, err
}

func (e *Env) leatPublisher(topic string) (*load.Publisher, error) {
	broker, err := e.leat()
	if err != nil {
		return nil, err
	}
	producer := leat.NewProducer(broker, nil)
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (int64, error) {
			return load.PublishAsync(ctx, e.names, producer, topic, first, n)
		},
		Close: broker.Close,
	}, nil
}
