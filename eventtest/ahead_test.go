package eventtest_test

import (
	"context"
	"slices"
	"sync"

	"github.com/leatgo/leat"
)

// ahead is a stream that fetches ahead of Receive, as adapters of real brokers do, by one path to the broker or by several.
type ahead struct {
	leat.Stream // the first path

	sub       leat.Subscription
	unbounded bool // the paths together may hand out more than MaxInFlight

	ctx    context.Context
	cancel context.CancelFunc
	pumps  sync.WaitGroup
	more   chan struct{}

	mu      sync.Mutex
	paths   []leat.Stream
	dead    []leat.Stream // what comes by these is dropped
	owner   map[*leat.Lease]leat.Stream
	fetched []leat.Delivery
	out     int // delivered and not settled
	bytes   int // of them
	err     error
}

func newAhead(sub leat.Subscription, inner leat.Stream) *ahead {
	s := &ahead{Stream: inner, sub: sub.WithDefaults(), more: make(chan struct{}, 1), owner: map[*leat.Lease]leat.Stream{}}
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
			s.mu.Lock()
			for _, d := range into[:n] {
				if s.owner[d.Lease] = path; !slices.Contains(s.dead, path) {
					s.fetched = append(s.fetched, d)
				}
			}
			if err != nil && s.ctx.Err() == nil && !slices.Contains(s.dead, path) {
				s.err = err
			}
			s.mu.Unlock()
			s.signal()
			if err != nil {
				return
			}
		}
	})
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
	s.fetched = slices.DeleteFunc(s.fetched, func(d leat.Delivery) bool { return d.Lease.Ended() })
	for n < len(into) && len(s.fetched) > 0 {
		size := s.fetched[0].Event.Size()
		if full := s.out >= s.sub.MaxInFlight || s.out > 0 && s.bytes+size > s.sub.MaxInFlightBytes; full && !s.unbounded {
			break
		}
		into[n] = s.fetched[0]
		s.fetched = s.fetched[1:]
		s.out++
		s.bytes += size
		n++
	}
	if n == 0 && len(s.fetched) == 0 {
		return 0, s.err
	}
	return n, nil
}

func (s *ahead) Settle(d *leat.Delivery, how leat.Settlement) {
	s.mu.Lock()
	s.out--
	s.bytes -= d.Event.Size()
	path := s.owner[d.Lease]
	s.mu.Unlock()
	s.signal()
	if path != nil {
		path.Settle(d, how)
	}
}

// halt ends fetching and returns what was fetched and not handed out.
func (s *ahead) halt() []leat.Delivery {
	s.cancel()
	s.pumps.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.fetched
	s.fetched, s.err = nil, closedShell()
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
