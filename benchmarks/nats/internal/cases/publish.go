package cases

import (
	"context"
	"errors"
	"fmt"
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

// publisher is a party's producer.
type publisher struct {
	// publish publishes n events from the first on and returns when all are answered.
	publish func(ctx context.Context, first, n int) (acked int64, err error)
	close   func() error
}

// publishing is a case that publishes to a stream of its own.
type publishing struct {
	env   *Env
	topic string
	party *publisher
	first int
	acked int64
}

func (e *Env) publishes(name string, start func(topic string) (*publisher, error)) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, _ int) (bench.Instance, error) {
			p := &publishing{env: e, topic: e.topic()}
			if err := e.declare(ctx, leat.Subscription{Topic: p.topic, Broadcast: true}); err != nil {
				return nil, err
			}
			party, err := start(p.topic)
			p.party = party
			return p, err
		},
	}
}

// Run publishes the next n events.
func (p *publishing) Run(ctx context.Context, n int) error {
	acked, err := p.party.publish(ctx, p.first, n)
	p.acked += acked
	p.first += n
	return err
}

// Handled counts the events whose publishing was confirmed.
func (p *publishing) Handled() int64 { return p.acked }

// Close checks that what was confirmed is in the stream, and nothing else.
func (p *publishing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err := p.party.close()
	s, readErr := p.env.js.Stream(ctx, p.topic)
	if readErr == nil && int64(s.CachedInfo().State.Msgs) != p.acked {
		readErr = fmt.Errorf("%d events are stored, %d were confirmed", s.CachedInfo().State.Msgs, p.acked)
	}
	return errors.Join(err, readErr, p.env.js.DeleteStream(ctx, p.topic))
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

func (e *Env) rawPublisher(topic string) (*publisher, error) {
	conn, js, err := dial(e.addr)
	if err != nil {
		return nil, err
	}
	return &publisher{
		publish: func(ctx context.Context, first, n int) (int64, error) { return e.publishRaw(ctx, js, topic, first, n) },
		close: func() error {
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

func (e *Env) leatPublisher(topic string) (*publisher, error) {
	broker, err := e.leat()
	if err != nil {
		return nil, err
	}
	producer := leat.NewProducer(broker, nil)
	return &publisher{
		publish: func(ctx context.Context, first, n int) (int64, error) {
			return load.PublishAsync(ctx, e.names, producer, topic, first, n)
		},
		close: broker.Close,
	}, nil
}
