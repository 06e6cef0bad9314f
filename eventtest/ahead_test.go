package eventtest_test

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/leatgo/leat"
)

// ahead is a stream that fetches ahead of Receive, as adapters of real brokers do, by one path to
// the broker or by several.
type ahead struct {
	leat.Stream // the first path

	sub       leat.Subscription
	unbounded bool // the paths together may hand out more than MaxInFlight
	ofKey     int  // how many of one key it hands out before the first is settled; 0 means any number

	ctx    context.Context
	cancel context.CancelFunc
	pumps  sync.WaitGroup
	more   chan struct{}

	mu      sync.Mutex
	paths   []leat.Stream
	dead    []leat.Stream // what comes by these is dropped
	owner   map[*leat.Lease]leat.Stream
	fetched []leat.Delivery
	held    []leat.Delivery          // delivered and not settled
	awaited map[string]leat.Delivery // by key: the oldest that was given back and has not come again
	err     error
}

func (s *ahead) Health() error { return healthOf(s.Stream) }

func newAhead(sub leat.Subscription, inner leat.Stream) *ahead {
	s := &ahead{
		Stream: inner, sub: sub.WithDefaults(), more: make(chan struct{}, 1), owner: map[*leat.Lease]leat.Stream{},
		awaited: map[string]leat.Delivery{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.follow(inner)
	return s
}

// follow fetches from one more path.
func (s *ahead) follow(path leat.Stream) {
	s.mu.Lock()
	s.paths = append(s.paths, path)
	s.mu.Unlock()
	s.pumps.Go(func() {
		into := make([]leat.Delivery, 16)
		for {
			n, err := path.Receive(s.ctx, into)
			var early []leat.Delivery
			s.mu.Lock()
			for _, d := range into[:n] {
				s.owner[d.Lease] = path
				switch {
				case slices.Contains(s.dead, path):
				case s.overtakes(&d):
					early = append(early, d)
				default:
					s.fetched = append(s.fetched, d)
				}
			}
			if err != nil && s.ctx.Err() == nil && !slices.Contains(s.dead, path) {
				s.err = err
			}
			s.mu.Unlock()
			for i := range early {
				path.Settle(&early[i], leat.Settlement{Action: leat.GiveBack})
			}
			s.signal()
			if err != nil {
				return
			}
		}
	})
}

// overtakes reports whether a delivery was on its way while an earlier one of its key was given
// back, which has to come first. The lock is held.
func (s *ahead) overtakes(d *leat.Delivery) bool {
	key := orderKey(d)
	first, ok := s.awaited[key]
	if !ok {
		return false
	}
	if first.Lease == d.Lease && first.Position.Offset < d.Position.Offset {
		return true
	}
	delete(s.awaited, key)
	return false
}

func (s *ahead) signal() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *ahead) Receive(ctx context.Context, into []leat.Delivery) (int, error) {
	for {
		if err := ctx.Err(); err != nil {
			return 0, &leat.Error{Op: "receive", Code: leat.CodeCanceled, Err: err}
		}
		if n, err := s.take(into); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-s.more:
		case <-ctx.Done():
		}
	}
}

// take hands out what was fetched, as far as the limits allow.
func (s *ahead) take(into []leat.Delivery) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := func(d leat.Delivery) bool { return d.Lease.Ended() }
	s.fetched, s.held = slices.DeleteFunc(s.fetched, ended), slices.DeleteFunc(s.held, ended)
	ofKey, bytes := map[string]int{}, 0
	for i := range s.held {
		ofKey[orderKey(&s.held[i])]++
		bytes += s.held[i].Event.Size()
	}
	kept := s.fetched[:0]
	for _, d := range s.fetched {
		key, size := orderKey(&d), d.Event.Size()
		full := len(s.held) >= s.sub.MaxInFlight || len(s.held) > 0 && bytes+size > s.sub.MaxInFlightBytes
		withheld := s.ofKey > 0 && key != "" && ofKey[key] >= s.ofKey
		if n == len(into) || full && !s.unbounded || withheld {
			ofKey[key] += s.ofKey // no later one of it either
			kept = append(kept, d)
			continue
		}
		into[n] = d
		ofKey[key]++
		bytes += size
		s.held = append(s.held, d)
		n++
	}
	s.fetched = kept
	if n == 0 && len(s.fetched) == 0 {
		return 0, s.err
	}
	return n, nil
}

// orderKey is the key that order is kept by.
func orderKey(d *leat.Delivery) string {
	if d.Malformed != nil {
		return string(d.Malformed.Key)
	}
	return cmp.Or(d.Event.Key(), d.Key)
}

// Settle gives what was fetched of a key back with a given-back delivery of it, which is earlier.
func (s *ahead) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	same := func(o leat.Delivery) bool { return o.Handle == d.Handle && o.Tag == d.Tag }
	s.held = slices.DeleteFunc(s.held, same)
	var back []leat.Delivery
	if key := orderKey(d); how.Action == leat.GiveBack && key != "" && !d.Lease.Ended() {
		if first, ok := s.awaited[key]; !ok || first.Lease != d.Lease || d.Position.Offset < first.Position.Offset {
			s.awaited[key] = *d
		}
		s.fetched = slices.DeleteFunc(s.fetched, func(o leat.Delivery) bool {
			if orderKey(&o) != key {
				return false
			}
			back = append(back, o)
			return true
		})
	}
	path := s.owner[d.Lease]
	s.mu.Unlock()
	for i := range back {
		s.Settle(&back[i], leat.Settlement{Action: leat.GiveBack})
	}
	if path != nil {
		path.Settle(d, how)
	}
	s.signal()
}

// Quiesce implements leat.Quiescer.
func (s *ahead) Quiesce() {
	s.cancel()
	s.pumps.Wait() // the broker in memory does not let them wait
}

// halt ends fetching and returns what was fetched and not handed out.
func (s *ahead) halt() []leat.Delivery {
	s.cancel()
	s.pumps.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.fetched
	s.fetched, s.held, s.err = nil, nil, closedShell()
	s.signal()
	return left
}

func (s *ahead) Close(ctx context.Context) error {
	s.halt()
	s.mu.Lock()
	paths := s.paths
	s.mu.Unlock()
	var err error
	for _, path := range paths {
		if closing := path.Close(ctx); closing != nil {
			err = closing
		}
	}
	return err
}
