package nats

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/nats-io/nats.go"
)

const (
	mostFlying = 4096 // a server refuses what is more than 10,000 messages behind in a stream
	lookEvery  = time.Second
)

// publisher hands events to the client and reads the answers. It does not use the futures of the
// package jetstream: they publish in the caller's goroutine, which a server that does not read
// holds up, they repeat what no stream has taken, by which later events overtake it, and they bound
// messages and not bytes.
type publisher struct {
	o      *Options
	link   *link
	ledger *publish.Ledger[parcel]
	queue  publish.Queue[parcel]
	inbox  string
	work   chan struct{} // holds a token when there is something to send
	gone   chan struct{} // closed by close

	mu     sync.Mutex
	flying [mostFlying]*publish.Entry[parcel] // sent and not answered, by token
	next   uint64                             // token
	full   bool                               // the writer waits for an answer
}

// parcel is what is kept for an event.
type parcel struct {
	topic *topic
	trace *leat.TraceContext
}

func newPublisher(o *Options, log *journal, tasks *lifecycle.Tasks) *publisher {
	p := &publisher{o: o, inbox: o.inbox()}
	p.work, p.gone = make(chan struct{}, 1), make(chan struct{})
	p.link = newLink(o, "publish", log, tasks)
	p.ledger = publish.New[parcel](publish.Options{
		Events: o.Buffer, Bytes: o.BufferBytes, Timeout: o.DeliveryTimeout, Trouble: p.link.trouble,
	})
	p.link.up, p.link.down = func() { lifecycle.Signal(p.work) }, p.lost
	p.link.wrong = p.wrong
	p.link.start()
	tasks.Go(p.write)
	return p
}

// Publish implements [leat.Broker]. Events are refused with CodeInvalid, CodeTooLarge, CodeNotFound
// (no stream takes the topic's subject), CodeExhausted, CodeUnauthenticated, CodeUnavailable (not
// sent within [Options].DeliveryTimeout, or the stream has no leader), CodeCanceled or CodeClosed.
// CodeUnknown is what was sent and not answered: the connection was lost, or no answer came within
// the DeliveryTimeout.
func (b *Broker) Publish(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
) {
	p, refusal := b.publisher, b.life.RefusePublish(ctx, topic)
	all := parcel{trace: leat.TraceFrom(ctx)}
	if refusal == nil {
		all.topic = b.topicOf(topic)
	}
	p.ledger.Publish(ctx, topic, events, done, func(e leat.Event, value *parcel) error {
		*value = all
		return cmp.Or(refusal, publish.Check(e, b.o.mostEventBytes()))
	}, func(entries []publish.Entry[parcel]) {
		p.queue.PushAll(entries)
		lifecycle.Signal(p.work)
	})
}

// Withdraw implements [leat.Withdrawer].
func (b *Broker) Withdraw(ctx context.Context, topic string, events []leat.Event) {
	b.publisher.ledger.Withdraw(ctx, topic, events)
}

// write sends what is in the queue until the publisher is closed.
func (p *publisher) write() {
	var sub *nats.Subscription
	c := newEncoder()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-p.work:
		case <-look.C:
			p.forget()
			p.link.log.calm()
		case <-p.gone:
			return
		}
		if !p.link.alive() {
			continue
		}
		if sub == nil {
			var err error
			if sub, err = p.link.nc.Subscribe(p.inbox+"*", p.answered); err != nil {
				continue
			}
			_ = sub.SetPendingLimits(-1, -1)
		}
		for p.send(c) {
		}
	}
}

// send sends the first of the queue. It returns false when it has to wait.
func (p *publisher) send(c *encoder) bool {
	p.mu.Lock()
	slot := &p.flying[p.next%mostFlying]
	p.full = *slot != nil
	if p.full || !p.link.alive() {
		p.mu.Unlock()
		return false
	}
	e := p.queue.Next(nil)
	if e == nil {
		p.mu.Unlock()
		return false
	}
	token := p.next
	p.next++
	*slot = e
	p.mu.Unlock()

	of := e.Value
	m, err := c.encode(e.Event(), of.trace, p.o)
	if err == nil {
		m.Subject, m.Reply = of.topic.subject, p.inbox+strconv.FormatUint(token, 36)
		if p.o.Deduplicate {
			c.add(nats.MsgIdHdr, messageID(e.Event()))
		}
		err = p.link.nc.PublishMsg(m)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining): // nothing was written
		if p.take(token) != nil {
			p.queue.PutBack(e)
		}
		return false
	}
	p.finish(token, outcomeOf(err))
	return true
}

// outcomeOf is what became of an event that the client did not send.
func outcomeOf(err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return &leat.Error{Code: leat.CodeTooLarge, Err: fmt.Errorf("%w, the max_payload of the servers; raise that, or "+
			"publish a reference to large data", err)}
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrHeadersNotSupported):
		return &leat.Error{Code: leat.CodeUnsupported, Err: err}
	}
	return err // a write that failed is unknown
}

// messageID is what a stream finds a duplicate by. Source and id may be longer than a header should
// be. An event that goes back into its poison queue is another message each time: as a duplicate it
// would be confirmed and dropped, and its first one be acked.
func messageID(e leat.Event) string {
	h := sha256.New()
	_, _ = h.Write(strconv.AppendInt(nil, int64(len(e.Source())), 10))
	_, _ = h.Write([]byte(" " + e.Source() + e.ID()))
	if replays, ok := e.Extension("leatreplays"); ok {
		_, _ = fmt.Fprint(h, " replays ", replays)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// take takes an entry out of those that are under way, nil where it is not there.
func (p *publisher) take(token uint64) *publish.Entry[parcel] {
	p.mu.Lock()
	defer p.mu.Unlock()
	if token >= p.next || p.next-token > mostFlying {
		return nil
	}
	slot := &p.flying[token%mostFlying]
	e := *slot
	*slot = nil
	if p.full && e != nil {
		p.full = false
		lifecycle.Signal(p.work)
	}
	return e
}

func (p *publisher) finish(token uint64, err error) {
	if e := p.take(token); e != nil {
		e.Done(err)
	}
}

// wrong is called when waiting may not help.
func (p *publisher) wrong(err error) {
	switch codeOf(err) {
	case leat.CodeUnauthenticated:
		if why := p.link.trouble(); why != nil {
			p.queue.Refuse(why, nil)
		}
	case leat.CodePermissionDenied: // there will be no answer; which events are meant is not certain
		p.drop(err, func(e *publish.Entry[parcel]) bool {
			return strings.Contains(err.Error(), strconv.Quote(e.Value.topic.subject))
		})
	}
}

// lost is called when the connection is lost: nobody answers what was sent by it.
func (p *publisher) lost(err error) { p.drop(fmt.Errorf("the connection was lost: %w", err), nil) }

// forget drops what is unknown already, because no answer came in time.
func (p *publisher) forget() { p.drop(nil, (*publish.Entry[parcel]).Told) }

// drop ends the entries under way that are wanted, oldest first.
func (p *publisher) drop(err error, wanted func(e *publish.Entry[parcel]) bool) {
	var all []*publish.Entry[parcel]
	p.mu.Lock()
	for n := range uint64(mostFlying) {
		slot := &p.flying[(p.next+n)%mostFlying]
		if e := *slot; e != nil && (wanted == nil || wanted(e)) {
			all = append(all, e)
			*slot = nil
		}
	}
	p.mu.Unlock()
	for _, e := range all {
		e.Done(err)
	}
	lifecycle.Signal(p.work)
}

// answered is the server's answer for a token.
func (p *publisher) answered(m *nats.Msg) {
	token, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, p.inbox), 36, 64)
	if err != nil {
		return
	}
	e := p.take(token)
	if e == nil {
		return
	}
	outcome := answerOf(m, e.Value.topic)
	if outcome == nil {
		e.Value.topic.confirm()
	}
	e.Done(outcome)
}

// answerOf is what a server says of an event.
func answerOf(m *nats.Msg, t *topic) error {
	if bytes.HasPrefix(m.Data, []byte(`{"stream":`)) && bytes.Contains(m.Data, []byte(`"seq":`)) {
		return nil
	}
	if m.Header.Get("Status") == "503" {
		if t.isKnown() {
			return &leat.Error{Code: leat.CodeUnavailable,
				Err: fmt.Errorf("the stream %q does not answer: it has no leader", t.stream)}
		}
		return &leat.Error{Code: leat.CodeNotFound,
			Err: fmt.Errorf("nobody has declared the topic yet, so no stream takes the subject %q; name it in "+
				"ProducerOptions.Topics where it is published to, or call leat.Declare (leat.Run declares what its "+
				"consumers read)", t.subject)}
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"code"`
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error == nil {
		return errors.New("the answer is not one of JetStream")
	}
	said := answer.Error
	code := apiCode(said.ErrCode, said.Code)
	if said.ErrCode == 10077 && !strings.Contains(said.Description, "maximum") { // storing failed
		code = leat.CodeUnknown
	}
	return &leat.Error{Code: code, Err: fmt.Errorf("%s (%d)", said.Description, said.ErrCode)}
}

// health says when publishes are not answered.
func (p *publisher) health() error {
	err := p.link.health("")
	if err == nil {
		err = p.ledger.Health()
	}
	return err
}

// close waits for answers as long as ctx lasts, and gives up what is left.
func (p *publisher) close(ctx context.Context) {
	p.ledger.Close(ctx)
	close(p.gone)
}
