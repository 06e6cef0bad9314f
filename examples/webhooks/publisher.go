package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// defaultSource stands in where a payload names neither repository, organization nor sender.
const defaultSource = "https://github.com"

// rawDeliverer is a broker that can be made to deliver what is not a CloudEvent, as a foreign
// program could on any broker.
type rawDeliverer interface {
	DeliverRaw(topic string, m leat.Malformed) error
}

// publisher publishes deliveries and notes what it sends and what the broker answers.
type publisher struct {
	broker   leat.Broker
	producer *leat.Producer
	topic    string
	ledger   *ledger
	prefix   string // of every id
	pace     time.Duration
}

// publish sends every delivery repeat times, with a broken one in the middle of the first round. It
// goes on while the broker still confirms what came before, and returns when every answer is there,
// or ctx ends.
func (p *publisher) publish(ctx context.Context, deliveries []delivery, repeat int) error {
	for round := range repeat {
		for i, d := range deliveries {
			if round == 0 && i == len(deliveries)/2 {
				p.sendBroken(ctx)
			}
			d.id = p.prefix + d.id
			if round > 0 {
				d.id = fmt.Sprintf("%s#%d", d.id, round+1)
			}
			if err := p.wait(ctx); err != nil {
				return errors.Join(err, p.flush(ctx))
			}
			p.send(ctx, d)
		}
	}
	return p.flush(ctx)
}

// send hands one delivery to the broker and does not wait for the answer.
func (p *publisher) send(ctx context.Context, d delivery) {
	e, err := d.toEvent()
	if err != nil {
		p.ledger.record(fact{Kind: factUnfit, ID: d.id, Reason: err.Error()})
		return
	}
	p.sendEvent(ctx, e)
}

func (p *publisher) sendEvent(ctx context.Context, e leat.Event) {
	p.ledger.record(fact{Kind: factSent, ID: e.ID(), Type: e.Type(), Key: e.Key(), Digest: digest(e.DataString())})
	p.producer.PublishAsync(ctx, p.topic, func(e leat.Event, err error) { p.answered(e.ID(), err) }, e)
}

// answered notes the broker's answer. It does not block for longer than a line takes to write.
func (p *publisher) answered(id string, err error) {
	f := fact{Kind: factPublished, ID: id, Outcome: outcomeOK}
	if err != nil {
		f.Outcome, f.Reason = outcomeRefused, err.Error()
		if leat.CodeOf(err) == leat.CodeUnknown {
			f.Outcome = outcomeUnknown
		}
	}
	p.ledger.record(f)
}

// What a sender that died in the middle of a push event leaves behind: its payload, and the whole
// event.
const (
	truncatedPayload = `{"ref":"refs/heads/main","commits":[{"id":"6113728f27ae8c7b1a77c8`
	truncatedEvent   = `{"specversion":"1.0","id":%q,"source":"https://github.com","type":"com.github.push","data":` + truncatedPayload
)

// sendBroken publishes what no service can use: bytes that are no CloudEvent, or, on a broker that
// only takes events, an event whose data is cut off.
func (p *publisher) sendBroken(ctx context.Context) {
	id := p.prefix + "truncated/push"
	raw, ok := p.broker.(rawDeliverer)
	if !ok {
		e, err := leat.NewEvent(pushType, &leat.EventOptions{ID: id, Source: defaultSource,
			DataContentType: "application/json", Data: []byte(truncatedPayload)})
		if err != nil {
			p.ledger.record(fact{Kind: factUnfit, ID: id, Reason: err.Error()})
			return
		}
		p.sendEvent(ctx, e)
		return
	}
	body := fmt.Appendf(nil, truncatedEvent, id)
	_, reason := leat.ParseEvent(body)
	m := leat.Malformed{Body: body, Reason: reason,
		Headers: []leat.Header{{Name: "content-type", Value: []byte("application/cloudevents+json")}}}
	p.ledger.record(fact{Kind: factSent, ID: malformedID(body), Digest: digest(string(body))})
	p.answered(malformedID(body), raw.DeliverRaw(p.topic, m))
}

// malformedID names a delivery that has no id by its bytes, which is all that its publisher knows
// of it.
func malformedID(body []byte) string { return "malformed/" + digest(string(body)) }

// wait keeps the pace, and ends when ctx does.
func (p *publisher) wait(ctx context.Context) error {
	if p.pace > 0 {
		select {
		case <-time.After(p.pace):
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("publishing stopped: %w", context.Cause(ctx))
	}
	return nil
}

// flushTimeout bounds the wait for the last answers when the run was interrupted.
const flushTimeout = 10 * time.Second

func (p *publisher) flush(ctx context.Context) error {
	if ctx.Err() != nil {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer stop()
	}
	return p.producer.Flush(ctx)
}
