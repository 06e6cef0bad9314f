package cases

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/load"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Env is the cluster that is measured on, and what the cases share there.
type Env struct {
	// Addrs are the cluster's addresses.
	Addrs []string

	admin  *kadm.Client
	short  bool
	names  *load.Names
	serial atomic.Int64
	filled map[string]int // how many events the topics to consume from have
}

// NewEnv returns an Env on the cluster at addrs. Short is for smoke tests.
func NewEnv(addrs []string, short bool) (*Env, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	events := mostEvents
	if short {
		events = 2 * shortEvents
	}
	return &Env{Addrs: addrs, admin: kadm.NewClient(client), short: short, names: load.NewNames(events), filled: map[string]int{}}, nil
}

// Close removes the topics that were filled and ends the connections.
func (e *Env) Close() error {
	defer e.admin.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for topic := range e.filled {
		if err := e.remove(ctx, topic); err != nil {
			return err
		}
	}
	return nil
}

// name returns a name that no other topic or group of the run has.
func (e *Env) name(what string) string {
	return fmt.Sprintf("%s-%d-%d", what, time.Now().UnixNano(), e.serial.Add(1))
}

// create makes a topic and waits for the leaders of its partitions.
func (e *Env) create(ctx context.Context, topic string, partitions int32, config map[string]*string) error {
	if _, err := e.admin.CreateTopic(ctx, partitions, 1, config, topic); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	for {
		metadata, err := e.admin.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		detail := metadata.Topics[topic]
		led := 0
		for _, p := range detail.Partitions {
			if p.Err == nil && p.Leader >= 0 {
				led++
			}
		}
		if led == int(partitions) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d partitions of %s have a leader: %w", led, partitions, topic, ctx.Err())
		}
	}
}

// remove deletes a topic.
func (e *Env) remove(ctx context.Context, topic string) error {
	_, err := e.admin.DeleteTopic(ctx, topic)
	return err
}

// stored returns how many records were ever written to a topic.
func (e *Env) stored(ctx context.Context, topic string) (int64, error) {
	ends, err := e.admin.ListEndOffsets(ctx, topic)
	if err = cmp.Or(err, ends.Error()); err != nil {
		return 0, err
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, nil
}

// fill makes sure that there is a topic with so many events, in the order of their numbers, and
// returns its name.
func (e *Env) fill(ctx context.Context, what string, partitions int32, events int) (string, error) {
	topic := fmt.Sprintf("filled-%s-%d", what, events)
	if e.filled[topic] == events {
		return topic, nil
	}
	_ = e.remove(ctx, topic) // what a run that was interrupted has left
	if err := e.create(ctx, topic, partitions, nil); err != nil {
		return "", err
	}
	client, err := e.franz(kgo.ProducerLinger(5 * time.Millisecond))
	if err != nil {
		return "", err
	}
	defer client.Close()
	if _, err := produceAsync(ctx, e, client, topic, 0, events); err != nil {
		return "", fmt.Errorf("fill %s: %w", topic, err)
	}
	e.filled[topic] = events
	return topic, nil
}

// readBack checks that a topic has each of the first events once. It is for smoke tests: the rounds
// that count have no time for it.
func (e *Env) readBack(ctx context.Context, topic string, events int) error {
	client, err := e.franz(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	a := load.NewArrivals(events, false)
	a.Expect(events)
	for a.Handled() < int64(events) && a.Err() == nil {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("%d of %d events of %s were read back: %w", a.Handled(), events, topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { a.Handle(recordIndex(r)) })
	}
	return a.Err()
}
