package publish_test

import (
	"context"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
)

// message is what this adapter keeps for an event: the text that goes to the broker.
type message struct{ body []byte }

// publisher is the publish side of an adapter whose broker confirms each message.
type publisher struct {
	ledger *publish.Ledger[message]
	queue  publish.Queue[message]
}

func (p *publisher) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	batch := p.ledger.Batch(topic, len(events), done)
	for i, e := range events {
		entry := batch.Add(i, e)
		err := publish.Check(e, 1<<20)
		if err == nil {
			entry.Value.body, err = e.MarshalJSON()
		}
		if err != nil {
			batch.Refuse(err)
		}
	}
	p.ledger.Admit(ctx, batch, func(entries []publish.Entry[message]) {
		for i := range entries {
			p.queue.Push(&entries[i])
		}
	})
}

// send is a goroutine of its own in a real adapter, and a confirm of the broker calls Done.
func (p *publisher) send(confirm func(body []byte) error) {
	for entry := p.queue.Next(nil); entry != nil; entry = p.queue.Next(nil) {
		entry.Done(confirm(entry.Value.body))
	}
}

func Example() {
	p := &publisher{ledger: publish.New[message](publish.Options{Events: 100, Bytes: 1 << 20, Timeout: 10 * time.Second})}
	event, err := leat.NewEvent("order.placed", &leat.EventOptions{ID: "1", Source: "/shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Publish(context.Background(), "orders", []leat.Event{event, {}}, func(i int, err error) {
		fmt.Printf("%d: %v\n", i, err)
	})
	p.send(func([]byte) error { return nil })
	p.ledger.Close(context.Background())
	// Output:
	// 1: leat: publish topic "orders": invalid: the zero Event is not an event
	// 0: <nil>
}
