package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// publisher hands events to the client and reports their outcomes. The ledger bounds what is under
// way, because the client's own bound cannot be waited for without tying the records to the waiting
// context.
type publisher struct {
	o       *Options
	conns   *connections
	ledger  *publish.Ledger[record]
	clients clients
	parcels parcelPools
	copies  bool               // records are not made of the bytes of their events
	marks   bool               // records are unpartitioned when the client gets them
	purging sync.Map           // the topics that the client is forgetting
	purges  sync.WaitGroup     // that
	ctx     context.Context    //nolint:containedctx // it ends with the publisher
	cancel  context.CancelFunc // called under mu

	open    atomic.Bool           // a broker has accepted this producer, and nothing is held
	held    publish.Queue[record] // what was admitted before that
	mu      sync.Mutex
	opening bool // somebody asks the cluster
	asking  sync.WaitGroup
}

// record is what is kept for an event on its way.
type record struct {
	entry  *publish.Entry[record]
	kafka  kgo.Record
	doubts int64 // connections.doubts when the client got it
}

func newPublisher(o *Options, conns *connections) *publisher {
	p := &publisher{o: o, conns: conns}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.ledger = publish.New[record](publish.Options{
		Events: o.Buffer, Bytes: o.BufferBytes, Timeout: o.DeliveryTimeout, Trouble: p.trouble,
	})
	return p
}

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound
// (the topic), CodePermissionDenied, CodeUnauthenticated, CodeUnavailable, CodeCanceled or
// CodeClosed; what a broker was sent and did not answer is CodeUnknown, at the latest after
// [Options].DeliveryTimeout.
//
// Kafka refuses record batches, not records: an event that the topic does not take, larger than its
// max.message.bytes or without a key where it is compacted, is refused together with those that
// wait for the same partition at that time.
func (b *Broker) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	if err := b.life.RefusePublish(ctx, topic); err != nil {
		for i := range events {
			done(i, err)
		}
		return
	}
	b.publisher.publish(ctx, topic, events, done)
}

// publish publishes events, which are held until a broker has accepted this producer.
func (p *publisher) publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	b := p.parcels.take(events, leat.TraceFrom(ctx), p.o)
	b.encoder.copies = p.copies
	b.Reset(topic, b.records, done)
	most := p.o.mostEventBytes()
	for i, e := range events {
		entry := b.Add(i, e)
		r := &entry.Value
		err := publish.Check(e, most)
		if err == nil {
			err = b.encoder.encode(&r.kafka, e)
		}
		if err != nil {
			b.Refuse(err)
			continue
		}
		r.entry, r.kafka.Topic = entry, topic
	}
	p.ledger.Admit(ctx, &b.Batch, p.accept)
}

// accept gives the client what was admitted, or holds it.
func (p *publisher) accept(entries []publish.Entry[record]) {
	if !p.open.Load() && p.hold(entries) {
		return
	}
	client, doubts := p.clients.current(), p.conns.doubts.Load()
	for i := range entries {
		if e := &entries[i]; e.Begin() {
			p.produce(client, e, doubts)
		}
	}
}

// produce gives the client an event that was begun. The client answers exactly once.
func (p *publisher) produce(client *kgo.Client, e *publish.Entry[record], doubts int64) {
	r := &e.Value
	r.doubts = doubts
	if p.marks {
		r.kafka.Partition = unpartitioned
	}
	r.kafka.Timestamp = e.Admitted() // the client counts its delivery timeout from there
	client.TryProduce(context.Background(), &r.kafka, func(_ *kgo.Record, err error) { p.answered(r, err) })
}

// answered is the client's answer for a record.
func (p *publisher) answered(r *record, err error) {
	if err == nil {
		r.entry.Done(nil)
		return
	}
	topic := r.kafka.Topic // the record may be used for something else when it is done
	r.entry.Done(p.outcome(r, err))
	if errors.Is(err, kerr.UnknownTopicID) {
		p.purge(topic)
	}
}

// close waits for the answers as long as ctx lasts, and gives up what is left.
func (p *publisher) close(ctx context.Context) {
	flushing, flushed := context.WithCancel(ctx)
	var flush sync.WaitGroup
	flush.Go(func() { _ = p.clients.current().Flush(flushing) }) // nothing lingers
	p.ledger.Close(ctx)
	flushed()
	flush.Wait()
	p.mu.Lock() // what was admitted in time and is accepted late does not begin to ask
	p.cancel()
	p.mu.Unlock()
	p.asking.Wait()
}
