package gcppubsub_test

import (
	"maps"
	"slices"
	"sync"
	"time"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// loans are the messages that clients of the fake have. The zero value is ready.
type loans struct {
	mu   sync.Mutex
	all  map[string]map[string]*loan // by subscription and ack id
	next chan struct{}               // closed by the next move
}

// loan is a message that a client has.
type loan struct {
	to      *fakePull
	term    time.Duration
	until   time.Time
	revoked bool // it is taken away
	refused bool // and its client knows
}

// move wakes whoever waits for something that happens to the fake.
func (l *loans) move() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next != nil {
		close(l.next)
		l.next = nil
	}
}

// moved returns what the next move closes.
func (l *loans) moved() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = make(chan struct{})
	}
	return l.next
}

// lend notes what a pull is about to get.
func (l *loans) lend(name string, to *fakePull, messages []*pb.ReceivedMessage, term time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]map[string]*loan{}
	}
	if l.all[name] == nil {
		l.all[name] = map[string]*loan{}
	}
	maps.DeleteFunc(l.all[name], func(_ string, x *loan) bool { return !x.lasts() && !x.revoked })
	for _, m := range messages {
		l.all[name][m.GetAckId()] = &loan{to: to, term: term, until: time.Now().Add(term)}
	}
}

func (x *loan) lasts() bool { return !x.revoked && time.Now().Before(x.until) }

// count returns how many messages of a subscription a pull has, and all of them where it is nil.
func (l *loans) count(name string, to *fakePull) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.all[name] {
		if x.lasts() && (to == nil || x.to == to) {
			n++
		}
	}
	return n
}

// divide returns which ack ids are those of messages that a client has, and which are not.
func (l *loans) divide(name string, ids []string) (held, lost []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if x := l.all[name][id]; x != nil && x.lasts() {
			held = append(held, id)
		} else {
			lost = append(lost, id)
		}
	}
	return held, lost
}

// settle notes new deadlines, or the end of loans.
func (l *loans) settle(name string, ids []string, term time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if x := l.all[name][id]; term == 0 {
			delete(l.all[name], id)
		} else if x != nil {
			x.until = time.Now().Add(term)
		}
	}
}

// revoke takes away all that clients have, and returns the longest term of it.
func (l *loans) revoke(name string) (ids []string, term time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, x := range l.all[name] {
		if x.lasts() {
			x.revoked = true
			ids, term = append(ids, id), max(term, x.term)
		}
	}
	return ids, term
}

// refused reports whether the clients know that they have lost what was revoked.
func (l *loans) refused(name string, ids []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { x := l.all[name][id]; return x != nil && !x.refused })
}

// refuse notes that a client knows which ack ids are of no use.
func (l *loans) refuse(ids map[string]string) {
	l.mu.Lock()
	for _, all := range l.all {
		for id := range ids {
			if x := all[id]; x != nil {
				x.refused = true
			}
		}
	}
	l.mu.Unlock()
	l.move()
}
