package awsstub

import (
	"container/list"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// queue is one queue of SQS. The lock of the server guards it.
type queue struct {
	s          *Server
	name       string
	fifo       bool
	created    time.Time
	attributes map[string]string // what was set
	tags       map[string]string

	messages *list.List            // of *message, oldest first
	groups   map[string]int        // how many of them a message group has
	flight   map[*message]struct{} // those that were received, and may be visible again by now
	handles  map[string]*message   // every handle that was given out and whose message exists
	sent     map[string]*duplicate // by deduplication id, within its scope
	attempts map[string]*attempt   // by attempt id
	changed  chan struct{}         // closed when a poll should look again
}

type message struct {
	place       *list.Element
	id, body    string
	group, dup  string
	sequence    uint64
	attributes  map[string]attribute
	sent, first time.Time
	receives    int

	handle   string    // of the last receive
	handles  []string  // of all receives
	received time.Time // the last receive
	visible  time.Time // from when on it may be received
}

type attribute struct {
	DataType    string
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

// duplicate is what is known of a message that was sent.
type duplicate struct {
	at       time.Time
	id       string
	sequence uint64
}

// attempt is what a receive with an attempt id has returned.
type attempt struct {
	at       time.Time
	messages []*message
	handles  []string
	visible  []time.Time
}

func newQueue(s *Server, name string) *queue {
	return &queue{
		s: s, name: name, fifo: strings.HasSuffix(name, ".fifo"), created: s.now(), attributes: map[string]string{}, tags: map[string]string{},
		messages: list.New(), groups: map[string]int{}, flight: map[*message]struct{}{}, handles: map[string]*message{},
		sent: map[string]*duplicate{}, attempts: map[string]*attempt{}, changed: make(chan struct{}),
	}
}

func (q *queue) url() string { return q.s.URL() + "/" + Account + "/" + q.name }
func (q *queue) arn() string { return "arn:aws:sqs:" + Region + ":" + Account + ":" + q.name }

// wake lets all polls look again.
func (q *queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// number returns an attribute that is a number.
func (q *queue) number(name string, otherwise int) int {
	if n, err := strconv.Atoi(q.attributes[name]); err == nil {
		return n
	}
	return otherwise
}

// add stores a message, or recognizes it as sent before.
func (q *queue) add(m *message) *duplicate {
	now := q.s.now()
	if q.fifo {
		scope := m.dup
		if q.attributes["DeduplicationScope"] == "messageGroup" {
			scope = m.group + "\x00" + m.dup
		}
		if d := q.sent[scope]; d != nil && now.Sub(d.at) < dedupFor {
			return d
		}
		m.sequence = q.s.next()
		defer func() { q.sent[scope] = &duplicate{now, m.id, m.sequence} }()
	}
	m.id, m.sent = fmt.Sprintf("message-%d", q.s.next()), now
	if m.visible.Before(now) {
		m.visible = now
	}
	q.put(m)
	return &duplicate{now, m.id, m.sequence}
}

// put stores a message.
func (q *queue) put(m *message) {
	m.place = q.messages.PushBack(m)
	q.groups[m.group]++
	q.wake()
}

// blocked returns the groups that have a message in flight, and forgets what is visible again.
func (q *queue) blocked(now time.Time) map[string]bool {
	groups := map[string]bool{}
	for m := range q.flight {
		if m.visible.After(now) {
			groups[m.group] = true
		} else {
			delete(q.flight, m)
		}
	}
	return groups
}

// take receives up to n messages, and says when it is worth to look again.
func (q *queue) take(n int, visibility time.Duration) (taken []*message, again time.Time) {
	now := q.s.now()
	again = now.Add(longest)
	blocked := q.blocked(now)
	for m := range q.flight {
		if m.visible.Before(again) {
			again = m.visible
		}
	}
	oldest := now.Add(-time.Duration(q.number("MessageRetentionPeriod", 345600)) * time.Second)
	for e := q.messages.Front(); e != nil && len(taken) < n; {
		if q.fifo && len(blocked) >= len(q.groups) {
			break // all groups wait
		}
		m, ok := e.Value.(*message)
		e = e.Next()
		switch {
		case !ok || q.expire(m, oldest) || q.fifo && blocked[m.group]:
		case m.visible.After(now): // in flight, or delayed
			blocked[m.group] = true
			if m.visible.Before(again) {
				again = m.visible
			}
		case q.redrive(m):
		default:
			taken = append(taken, m)
		}
	}
	for _, m := range taken {
		if m.receives++; m.receives == 1 {
			m.first = now
		}
		m.handle, m.received, m.visible = fmt.Sprintf("handle-%d", q.s.next()), now, now.Add(visibility)
		m.handles = append(m.handles, m.handle)
		q.handles[m.handle] = m
		q.flight[m] = struct{}{}
	}
	return taken, again
}

// expire removes a message that is older than the queue keeps it.
func (q *queue) expire(m *message, oldest time.Time) bool {
	if !m.sent.Before(oldest) {
		return false
	}
	q.remove(m)
	return true
}

// redrive moves a message that was received too often, where the queue has a policy for that.
func (q *queue) redrive(m *message) bool {
	var policy struct {
		DeadLetterTargetArn string
		MaxReceiveCount     json.Number
	}
	if json.Unmarshal([]byte(q.attributes["RedrivePolicy"]), &policy) != nil {
		return false
	}
	most, err := policy.MaxReceiveCount.Int64()
	dead := q.s.queues[policy.DeadLetterTargetArn[strings.LastIndex(policy.DeadLetterTargetArn, ":")+1:]]
	if err != nil || dead == nil || int64(m.receives) < most {
		return false
	}
	q.remove(m)
	dead.put(m)
	return true
}

func (q *queue) remove(m *message) {
	q.messages.Remove(m.place)
	if q.groups[m.group]--; q.groups[m.group] == 0 {
		delete(q.groups, m.group)
	}
	delete(q.flight, m)
	for _, handle := range m.handles {
		delete(q.handles, handle)
	}
}

// repeat returns what an attempt has received, unless any of it was deleted or changed.
func (q *queue) repeat(id string, visibility time.Duration) []*message {
	a, now := q.attempts[id], q.s.now()
	if a == nil || now.Sub(a.at) > dedupFor {
		return nil
	}
	for i, m := range a.messages {
		if q.handles[a.handles[i]] != m || m.handle != a.handles[i] || !m.visible.Equal(a.visible[i]) || !m.visible.After(now) {
			return nil
		}
	}
	for i, m := range a.messages {
		m.visible = now.Add(visibility)
		a.visible[i] = m.visible
	}
	return a.messages
}

// remember keeps what an attempt has received.
func (q *queue) remember(id string, taken []*message) {
	a := &attempt{at: q.s.now(), messages: taken}
	for _, m := range taken {
		a.handles, a.visible = append(a.handles, m.handle), append(a.visible, m.visible)
	}
	q.attempts[id] = a
}

const badHandle = "Value for parameter ReceiptHandle is invalid. Reason: "

// delete deletes the message of a handle. A FIFO queue refuses a handle whose time is over; other
// queues do nothing then, and succeed.
func (q *queue) delete(handle string) *problem {
	m, ok := q.handles[handle]
	if !ok && !strings.HasPrefix(handle, "handle-") {
		return invalid("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	}
	if !ok {
		return nil // deleted before
	}
	if q.fifo && (m.handle != handle || !m.visible.After(q.s.now())) {
		return invalid("InvalidParameterValue", badHandle+"The receipt handle has expired.")
	}
	if m.handle == handle {
		q.remove(m)
		q.wake()
	}
	return nil
}

// lend changes for how long the message of a handle stays invisible.
func (q *queue) lend(handle string, seconds int) *problem {
	m, now := q.handles[handle], q.s.now()
	until := now.Add(time.Duration(seconds) * time.Second)
	switch {
	case m == nil && !strings.HasPrefix(handle, "handle-"):
		return invalid("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
	case seconds < 0 || seconds > int(longest/time.Second):
		return invalid("InvalidParameterValue", "Value for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.")
	case m == nil || m.handle != handle:
		return invalid("InvalidParameterValue", badHandle+"Message does not exist or is not available for visibility timeout change.")
	case !m.visible.After(now):
		return invalid("MessageNotInflight", "The specified message isn't in flight.")
	case until.Sub(m.received) > longest:
		return invalid("InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	}
	m.visible = until
	q.wake()
	return nil
}
