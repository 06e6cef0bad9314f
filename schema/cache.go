package schema

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatgo/leat"
)

const (
	// missingFor is how long an answer counts that something does not exist: somebody may register
	// it.
	missingFor = 30 * time.Second
	// failedFor is how long nobody asks again after another error, however many callers there are.
	failedFor = time.Second
)

// cache loads values and keeps them. However many callers want one at once, it is loaded once. The
// load goes on when its callers give up, up to the timeout.
type cache[K comparable, V any] struct {
	// load returns a value, its size in bytes with that of its key, also where there is an error,
	// and how long the value counts; 0 means as long as there is room.
	load    func(ctx context.Context, key K) (loaded[V], error)
	timeout time.Duration
	limit   int // bytes

	mu      sync.Mutex
	entries map[K]*list.Element
	order   *list.List // of *cached, the one that was used longest ago first
	bytes   int
	missing int // entries of what does not exist
	flights map[K]*flight[V]
}

// loaded is a value.
type loaded[V any] struct {
	value V
	size  int
	lasts time.Duration
}

// cached is an entry.
type cached[K comparable, V any] struct {
	key   K
	value V
	err   error
	size  int
	until time.Time // zero where it counts as long as there is room
}

func (e *cached[K, V]) isMissing() bool { return leat.CodeOf(e.err) == leat.CodeNotFound }

// flight is a load on its way.
type flight[V any] struct {
	over  chan struct{}
	value V
	err   error
}

const (
	// entryBytes is what an entry costs besides its value and its key.
	entryBytes = 500
	// staleAfter is how long a caller waits for a new answer where there is an old one.
	staleAfter = time.Second
	// mostMissing is how many schemas that do not exist are remembered. Anybody can name such
	// schemas in events, and each is a call of the registry.
	mostMissing = 1_000
)

var errMissing = fail("find schema", leat.CodeExhausted,
	fmt.Errorf("%d schemas that do not exist were asked for lately, and no more are looked for meanwhile", mostMissing))

func newCache[K comparable, V any](
	limit int, timeout time.Duration, load func(ctx context.Context, key K) (loaded[V], error),
) *cache[K, V] {
	return &cache[K, V]{
		load: load, timeout: timeout, limit: limit,
		entries: map[K]*list.Element{}, order: list.New(), flights: map[K]*flight[V]{},
	}
}

// get returns a value, or why it could not be loaded.
func (c *cache[K, V]) get(ctx context.Context, key K) (V, error) {
	known, f := c.lookup(ctx, key)
	if f == nil {
		return known.value, known.err
	}
	var stale <-chan time.Time
	if known != nil && known.err == nil {
		timer := time.NewTimer(staleAfter)
		defer timer.Stop()
		stale = timer.C
	}
	select {
	case <-f.over:
		return f.value, f.err
	case <-stale:
		return known.value, nil
	case <-ctx.Done():
		var none V
		return none, fail("find schema", leat.CodeCanceled, context.Cause(ctx))
	}
}

// peek returns a value that is there, without loading it.
func (c *cache[K, V]) peek(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return value, false
	}
	known := element.Value.(*cached[K, V]) //nolint:forcetypeassert // order has nothing else
	if known.err == nil {
		c.order.MoveToBack(element)
	}
	return known.value, known.err == nil
}

// lookup returns what is known of a key, and the load to wait for; nil where what is known counts.
func (c *cache[K, V]) lookup(ctx context.Context, key K) (known *cached[K, V], f *flight[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, ok := c.entries[key]; ok {
		known = element.Value.(*cached[K, V]) //nolint:forcetypeassert // order has nothing else
		if known.until.IsZero() || time.Now().Before(known.until) {
			c.order.MoveToBack(element)
			return known, nil
		}
	}
	if f = c.flights[key]; f != nil {
		return known, f
	}
	if c.expire(); c.missing >= mostMissing {
		if known != nil && known.err == nil {
			return known, nil // what was known is better than nothing
		}
		return &cached[K, V]{err: errMissing}, nil
	}
	f = &flight[V]{over: make(chan struct{})}
	c.flights[key] = f
	go c.fly(context.WithoutCancel(ctx), key, f)
	return known, f
}

// expire drops the entries used longest ago of what does not exist, when their time is over. The
// lock is held.
func (c *cache[K, V]) expire() {
	if c.missing < mostMissing {
		return
	}
	now := time.Now()
	for element := c.order.Front(); element != nil; {
		next, entry := element.Next(), element.Value.(*cached[K, V]) //nolint:forcetypeassert // order has nothing else
		if entry.isMissing() && !now.Before(entry.until) {
			c.drop(element)
		}
		element = next
	}
}

// fly loads a value and keeps it, also where the load does not return.
func (c *cache[K, V]) fly(ctx context.Context, key K, f *flight[V]) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("the registry has not answered for %v", c.timeout))
	defer cancel()
	var l loaded[V]
	err := fail("find schema", leat.CodeInternal, errors.New("the Reader or the Format has ended its goroutine"))
	defer func() {
		if r := recover(); r != nil {
			err = fail("find schema", leat.CodeInternal, fmt.Errorf("the Reader or the Format panics with a %T", r)) // its text may have a secret
		}
		c.land(ctx, key, f, l, err)
	}()
	l, err = c.load(ctx, key)
}

// land keeps what was loaded, and tells those who wait.
func (c *cache[K, V]) land(ctx context.Context, key K, f *flight[V], l loaded[V], err error) {
	entry := &cached[K, V]{key: key, value: l.value, err: err, size: l.size + entryBytes}
	lasts := l.lasts
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			entry.err = fail("find schema", leat.CodeUnavailable, fmt.Errorf("%w: %w", context.Cause(ctx), err))
		}
		entry.size += len(entry.err.Error())
		if lasts = failedFor; entry.isMissing() {
			lasts = missingFor
		}
	}
	if lasts > 0 {
		entry.until = time.Now().Add(lasts)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		stale := c.drop(old)
		if err != nil && !entry.isMissing() && stale.err == nil { // what was known is better than nothing
			entry.value, entry.err, entry.size = stale.value, nil, stale.size
		}
	}
	c.entries[key] = c.order.PushBack(entry)
	c.bytes += entry.size
	if entry.isMissing() {
		c.missing++
	}
	for c.bytes > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Front())
	}
	f.value, f.err = entry.value, entry.err
	delete(c.flights, key)
	close(f.over)
}

// drop removes an entry. The lock is held.
func (c *cache[K, V]) drop(element *list.Element) *cached[K, V] {
	entry := c.order.Remove(element).(*cached[K, V]) //nolint:forcetypeassert // order has nothing else
	delete(c.entries, entry.key)
	c.bytes -= entry.size
	if entry.isMissing() {
		c.missing--
	}
	return entry
}
