package memory

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
)

// Crash is a control for tests: the broker crashes and is back at once. What was confirmed
// survives. Publishes that wait for room get [leat.CodeUnknown], and their events are dropped. All
// leases are lost, with a cause of [leat.CodeUnavailable]; the streams live on with new ones, and
// what was not settled is delivered again, in order. Broadcast streams lose it.
func (b *Broker) Crash() {
	for _, t := range b.all() {
		t.mu.Lock()
		t.dismiss(&leat.Error{Op: "publish", Topic: t.name, Code: leat.CodeUnknown, Err: errCrashed})
		t.loseLeases(t.groups, &leat.Error{Op: "lease", Topic: t.name, Code: leat.CodeUnavailable, Err: errCrashed})
	}
}

// loseLeases takes all leases of groups away. The caller holds the lock, which this gives back.
func (t *topic) loseLeases(groups []*group, cause error) {
	lost := map[*group][]*tenure{}
	for _, g := range groups {
		for _, s := range g.streams {
			lost[g] = append(lost[g], g.retireAll(s, cause)...)
		}
	}
	t.mu.Unlock()
	for g, retired := range lost {
		g.conclude(retired)
	}
}

// StallLeases is a control for tests: like [Stream.StallLease] for every stream of the broker, also
// those that are opened while stall is set. A stream that is stalled by itself stays so when stall
// is lifted here.
func (b *Broker) StallLeases(stall bool) {
	b.stalled.Store(stall)
	if stall {
		return
	}
	for _, t := range b.all() {
		t.mu.Lock()
		var streams []*Stream
		for _, g := range t.groups {
			streams = append(streams, g.streams...)
		}
		t.mu.Unlock()
		for _, s := range streams {
			s.resume()
		}
	}
}

// ExpireLeases is a control for tests: all leases of the group's streams are lost at once, and the
// streams get new ones. An unknown topic or group is an error with [leat.CodeNotFound].
func (b *Broker) ExpireLeases(topic, groupName string) error {
	t, g, err := b.lockGroup("expire", topic, groupName)
	if err != nil {
		return err
	}
	t.loseLeases([]*group{g}, &leat.Error{Op: "lease", Topic: topic, Code: leat.CodeLeaseLost, Err: errors.New("it was made to expire")})
	return nil
}

// DeliverRaw is a control for tests: it stores something that is no valid CloudEvent in the topic,
// as a foreign publisher might, for all groups. Headers traceparent and tracestate are its trace
// context. [Options].Mapping may make an event of it: its Err is m.Reason, [foreign.ErrPlain] where
// that is nil. It takes part in order by m.Key where that is set. It does not wait for room. An
// unknown topic is an error with [leat.CodeNotFound] unless provisioning creates it.
func (b *Broker) DeliverRaw(topic string, m leat.Malformed) error {
	t, err := b.topic("deliver", topic, b.o.Provision == ProvisionCreate)
	if err != nil {
		return err
	}
	if m.Reason == nil {
		m.Reason = errPlain
	}
	m.Key, m.Body = bytes.Clone(m.Key), bytes.Clone(m.Body)
	m.Headers = append([]leat.Header(nil), m.Headers...)
	var trace wire.Trace
	for i := range m.Headers {
		m.Headers[i].Value = bytes.Clone(m.Headers[i].Value)
		trace.Add(m.Headers[i].Name, m.Headers[i].Value)
	}
	for {
		t.mu.Lock()
		seq := t.seq
		t.mu.Unlock()
		r := b.mapped(topic, seq, m) // code from outside, which may be called again, since it depends on nothing else
		r.trace = trace.Context()
		stored, err := t.appendAt(seq, r)
		if stored || err != nil {
			return err
		}
	}
}

// errPlain is the reason of a raw message that was given none.
var errPlain = fmt.Errorf("the message is not a CloudEvent: %w", foreign.ErrPlain)

// mapped returns the record of a raw message that is stored as the seq-th of its topic.
func (b *Broker) mapped(topic string, seq uint64, raw leat.Malformed) record {
	r := record{raw: &raw}
	if b.o.Mapping == nil {
		return r
	}
	position := leat.Position{Offset: int64(seq)}
	m := foreign.Message{
		Topic: topic, ID: topic + "/" + position.String(), Position: position, Time: time.Now(), Key: raw.Key, Headers: raw.Headers,
		ContentType: wire.Find(raw.Headers, "content-type"), Body: raw.Body, Err: raw.Reason,
	}
	r.event, raw.Reason = b.o.Mapping.Event(m)
	return r
}

// appendAt stores a record for every group, if it becomes the seq-th.
func (t *topic) appendAt(seq uint64, r record) (stored bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return false, closedError("deliver", t.name)
	case t.seq != seq:
		return false, nil
	}
	t.append(r)
	return true, nil
}

// Depth tells how many events a group has: queued ones wait for delivery, those that were given
// back with a delay included; unsettled ones are delivered. An unknown topic or group is an error
// with [leat.CodeNotFound].
func (b *Broker) Depth(topic, group string) (queued, unsettled int, err error) {
	t, g, err := b.lockGroup("depth", topic, group)
	if err != nil {
		return 0, 0, err
	}
	defer t.mu.Unlock()
	for _, s := range g.streams {
		unsettled += int(s.load.Load() >> loadShift)
	}
	return g.queued, unsettled, nil
}

// lockGroup finds a group and returns with its topic's lock held.
func (b *Broker) lockGroup(op, topicName, name string) (*topic, *group, error) {
	t, err := b.topic(op, topicName, false)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	g := t.named[name]
	if g == nil || t.closed {
		defer t.mu.Unlock()
		if t.closed {
			return nil, nil, closedError(op, topicName)
		}
		return nil, nil, &leat.Error{Op: op, Topic: topicName, Code: leat.CodeNotFound, Err: fmt.Errorf("the group %q does not exist", name)}
	}
	return t, g, nil
}
