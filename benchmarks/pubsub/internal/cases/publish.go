package cases

import (
	"context"
	"errors"
	"sync"

	"cloud.google.com/go/pubsub/v2"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
	"github.com/leatgo/leat/benchmarks/internal/load"
)

const (
	leatCase     = "Leat, PublishAsync"
	rawRequests  = 64    // that the raw calls have open, as Leat has
	mostMessages = 1_000 // of a request
)

func (e *Env) publish() bench.Group {
	const base = "Google's Publisher"
	return bench.Group{
		Name: "publish",
		About: "One goroutine publishes events without a key; every event is confirmed. The base is Google's Publisher with its " +
			"defaults. The raw calls are Publish with 1,000 messages, 4 at a time.",
		Cases: []bench.Case{
			e.publishes(base, 0, e.googlePublisher), e.publishes("raw Publish", 0, e.rawPublisher), e.publishes(leatCase, 0, e.leatPublisher),
		},
		Goals: []bench.Goal{{Case: leatCase, Metric: bench.CPURatio, Max: 1 / 1.5}},
	}
}

func (e *Env) publishKeys(name string, keys int) bench.Group {
	return bench.Group{
		Name: name,
		About: "As before, with keys. The base is the raw calls: of each 10,000 events, those of a key are a request, with up to 64 " +
			"requests at a time.",
		Cases: []bench.Case{e.publishes("raw Publish", keys, e.rawPublisher), e.publishes(leatCase, keys, e.leatPublisher)},
		Goals: []bench.Goal{{Case: leatCase, Metric: bench.CPURatio, Max: 1 / 0.85}, {Case: leatCase, Min: 0.85}},
	}
}

// startPublisher starts a party's producer of events with so many keys.
type startPublisher func(ctx context.Context, topic string, keys int) (*load.Publisher, error)

// publishes returns a case that publishes to a topic of its own.
func (e *Env) publishes(name string, keys int, start startPublisher) bench.Case {
	return bench.Case{
		Name: name, Events: roundEvents, ShortEvents: shortEvents,
		Start: func(ctx context.Context, _ int) (bench.Instance, error) {
			topic := e.topic()
			if err := e.declare(ctx, leat.Subscription{Topic: topic}); err != nil {
				return nil, err
			}
			to := load.Destination{
				// A topic counts nothing, and a subscription is read slowly.
				Stored: func(_ context.Context, acked int64) (int64, error) { return acked, nil },
				Remove: func(ctx context.Context) error { return e.remove(ctx, topic) },
			}
			return to.Open(ctx, func() (*load.Publisher, error) { return start(ctx, topic, keys) })
		},
	}
}

func (e *Env) googlePublisher(ctx context.Context, topic string, keys int) (*load.Publisher, error) {
	client, err := e.google(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	p := client.Publisher(topicPath(topic))
	p.EnableMessageOrdering = keys > 0
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (acked int64, err error) {
			results := make([]*pubsub.PublishResult, 0, n)
			for i := first; i < first+n; i++ {
				id, _, data := e.names.At(i)
				key := keyOf(i, keys)
				results = append(results, p.Publish(ctx, &pubsub.Message{Data: data, OrderingKey: key, Attributes: attributes(id, key)}))
			}
			for _, r := range results {
				if _, failed := r.Get(ctx); failed != nil {
					err = failed
				} else {
					acked++
				}
			}
			return acked, err
		},
		Close: func() error {
			p.Stop()
			return client.Close()
		},
	}, nil
}

func (e *Env) rawPublisher(ctx context.Context, topic string, keys int) (*load.Publisher, error) {
	client, err := e.google(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (int64, error) {
			return int64(n), e.publishRaw(ctx, client, topic, keys, first, n)
		},
		Close: client.Close,
	}, nil
}

// publishRaw publishes windows of load.InFlight events, a request for each key.
func (e *Env) publishRaw(ctx context.Context, client *pubsub.Client, topic string, keys, first, n int) error {
	requests := rawRequests
	if keys == 0 {
		requests = 4
	}
	var failed load.FirstError
	for end := first + n; first < end && failed.Err() == nil; {
		window := min(load.InFlight, end-first)
		byKey := map[string][]*pb.PubsubMessage{}
		var order []string
		for i := first; i < first+window; i++ {
			id, _, data := e.names.At(i)
			key := keyOf(i, keys)
			if byKey[key] == nil {
				order = append(order, key)
			}
			byKey[key] = append(byKey[key], message(id, key, data))
		}
		first += window
		room := make(chan struct{}, requests)
		var all sync.WaitGroup
		for _, key := range order {
			for messages := byKey[key]; len(messages) > 0; {
				part := messages[:min(mostMessages, len(messages))]
				messages = messages[len(part):]
				room <- struct{}{}
				all.Go(func() {
					_, err := client.TopicAdminClient.Publish(ctx, &pb.PublishRequest{Topic: topicPath(topic), Messages: part})
					failed.Note(err)
					<-room
				})
			}
		}
		all.Wait()
	}
	return failed.Err()
}

func (e *Env) leatPublisher(_ context.Context, topic string, keys int) (*load.Publisher, error) {
	broker, err := e.leat()
	if err != nil {
		return nil, err
	}
	producer := leat.NewProducer(broker, nil)
	return &load.Publisher{
		Publish: func(ctx context.Context, first, n int) (acked int64, err error) {
			var mu sync.Mutex
			var all sync.WaitGroup
			for i := first; i < first+n; i++ {
				id, _, data := e.names.At(i)
				event, invalid := load.NewEvent(id, keyOf(i, keys), data)
				if invalid != nil {
					return 0, invalid
				}
				all.Add(1)
				producer.PublishAsync(ctx, topic, func(_ leat.Event, failed error) {
					mu.Lock()
					if failed == nil {
						acked++
					} else {
						err = errors.Join(err, failed)
					}
					mu.Unlock()
					all.Done()
				}, event)
			}
			all.Wait()
			return acked, err
		},
		Close: broker.Close,
	}, nil
}
