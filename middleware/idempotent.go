package middleware

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/ranges"
)

// Store remembers what was handled, for [Idempotent]. Implement it on what the group's processes
// share. Both methods must be safe for concurrent use and return when ctx ends. A key is text of at
// most 255 bytes, different for every subscription.
type Store interface {
	// Seen reports whether key was marked. An error means that this is not known.
	Seen(ctx context.Context, key string) (bool, error)
	// Mark remembers key, durably when it returns nil. Marking a key again is no error.
	Mark(ctx context.Context, key string) error
}

// IdempotentOptions are the options of [Idempotent]. The zero value works.
type IdempotentOptions struct {
	// Key returns what makes two events of a subscription the same, for producers that do not keep
	// an event's id when they publish it again. An empty key means that the event is handled
	// whenever it comes. Nil means source and id, which CloudEvents makes unique for an event. It
	// must be safe for concurrent use.
	Key func(e leat.Event) string
	// StoreTimeout bounds each call to the Store. 0 means 5 s.
	StoreTimeout time.Duration
}

// Idempotent passes over events that the group has handled before, which come again wherever events
// are delivered at least once: the handler is not called, and the outcome is nil. A nil o means the
// defaults. Put it directly outside [Timeout].
//
// The key in s is made of the subscription's topic and group and the event's source and id: an id
// is unique for its source only. Of an event in a poison queue, topic and group are those that
// failed. So an event that was handled in a replay is known when it comes again in its own group,
// or a second time in the poison queue, and that another group handled it says nothing. A replay
// that gives events another source makes new events of them; [IdempotentOptions].Key is for that.
//
// An event is marked after the handler succeeded, never before: a mark that came first would turn a
// failed attempt into a lost event. So a process that dies between the two makes the handler run
// again, and two deliveries of one event that are handled at the same time, possible after a lost
// lease, both run. A handler that must not repeat itself even then writes the mark in its own
// transaction: [IdempotencyKey] is its key.
//
// An error of s tells nothing about the event: all events of the Consumer need s. So the outcome is
// a [leat.Pause] of 1 s around it, whatever s decided: no attempt is counted, no event goes to the
// poison queue, and the Consumer goes on by itself when s works again. When Mark failed, the event
// is not done: it comes again after the pause, but in this process only its mark is tried then, not
// the handler, as long as the event is among the latest 1,000 in that state. The mark is tried even
// if the Consumer has ended the handler's context meanwhile, because the work is done.
//
// Without a Store, or with wrong options, [leat.Run] refuses the Consumer.
//
// In a broadcast each process handles every event: give each a [MemoryStore] of its own.
func Idempotent(s Store, o *IdempotentOptions) leat.Middleware {
	if o != nil {
		if err := ranges.Duration("IdempotentOptions.StoreTimeout", o.StoreTimeout, 1, longest); err != nil {
			return unfit(err)
		}
	}
	m := &idempotent{store: s, key: sourceAndID, timeout: 5 * time.Second, unmarked: NewMemoryStore(maxUnmarked, 0)}
	if o != nil && o.Key != nil {
		m.key = o.Key
	}
	if o != nil && o.StoreTimeout > 0 {
		m.timeout = o.StoreTimeout
	}
	if nils.Is(s) {
		return unfit(errNoStore)
	}
	if own, ok := s.(interface{ wrong() error }); ok && own.wrong() != nil {
		return unfit(own.wrong())
	}
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error { return m.handle(ctx, e, next) })
	}
}

// idempotencyKey is the key of the context value that IdempotencyKey returns.
type idempotencyKey struct{}

// IdempotencyKey returns the key by which [Idempotent] knows the event that is handled with ctx:
// the one that [Store].Seen was asked for, and that Store.Mark will get. It is empty where the
// handler is not inside of Idempotent, where IdempotentOptions.Key gave none, and in a
// [leat.Batch], whose ctx is that of several events.
//
// A handler with a database that is also the Store writes the key in the transaction of its other
// rows, with a unique index on it. Then no crash comes between the two, and of two deliveries that
// are handled at the same time only one commits. The Mark that follows finds the key there, which
// is no error.
func IdempotencyKey(ctx context.Context) string {
	key, _ := ctx.Value(idempotencyKey{}).(string)
	return key
}

var errNoStore = errors.New("Idempotent was made without a Store; give it one, such as NewMemoryStore")

const (
	maxUnmarked = 1_000
	// storePause is how long a Consumer leaves a Store alone that failed: about as long as clients
	// take to connect again.
	storePause = time.Second
	// maxKeyBytes is what every database indexes, also as a VARCHAR(255).
	maxKeyBytes = 255
)

type idempotent struct {
	store   Store
	key     func(e leat.Event) string
	timeout time.Duration
	// unmarked has the keys of events whose handler succeeded and whose Mark failed.
	unmarked *MemoryStore
}

func (m *idempotent) handle(ctx context.Context, e leat.Event, next leat.Handler) error {
	key := m.key(e)
	if key == "" {
		return next.Handle(ctx, e)
	}
	info, _ := leat.InfoFrom(ctx)
	topic, group := subscriptionOf(info, e)
	key = storeKey(topic, group, key)

	if !m.unmarked.has(key) {
		seen, err := m.seen(ctx, key)
		if err != nil || seen {
			return err
		}
		if err := next.Handle(context.WithValue(ctx, idempotencyKey{}, key), e); err != nil {
			return err
		}
	}
	return m.mark(ctx, key)
}

// subscriptionOf returns topic and group that an event is handled for. The extensions of a poisoned
// event count in a poison queue only, because anybody can write them elsewhere.
func subscriptionOf(info leat.Info, e leat.Event) (topic, group string) {
	if info.Group == leat.ReplayGroup && leat.IsPoisoned(e) {
		if p, err := leat.PoisonedFrom(e); err == nil && p.Info.Topic != "" {
			return p.Info.Topic, p.Info.Group
		}
	}
	return info.Topic, info.Group
}

func (m *idempotent) seen(ctx context.Context, key string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	seen, err := m.store.Seen(ctx, key)
	if err != nil {
		return false, storeDown("cannot tell whether the event was handled", err)
	}
	return seen, nil
}

func (m *idempotent) mark(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
	defer cancel()
	if err := m.store.Mark(ctx, key); err != nil {
		m.unmarked.add(key)
		return storeDown("the event was handled, but cannot be marked so", err)
	}
	m.unmarked.remove(key)
	return nil
}

// storeDown returns the outcome for an error of the Store. What the Store may have decided by it
// does not count, since the outermost decision does.
func storeDown(what string, err error) error {
	return leat.Pause(storePause, fmt.Errorf("idempotency store: %s: %w", what, err))
}

// sourceAndID is the default of IdempotentOptions.Key.
func sourceAndID(e leat.Event) string { return withLength(e.Source()) + e.ID() }

// storeKey joins topic, group and the event's own key, or returns the hash where that is too long
// for a Store, as sources and ids, which have no limit of their own, can make it.
func storeKey(topic, group, key string) string {
	key = withLength(topic) + withLength(group) + key
	if len(key) <= maxKeyBytes {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// withLength makes the joining of parts unambiguous, whatever they contain, without a separator
// that a database may not take.
func withLength(s string) string { return strconv.Itoa(len(s)) + ":" + s + " " }
