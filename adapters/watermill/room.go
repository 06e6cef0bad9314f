package watermill

import (
	"context"
	"slices"
	"sync"
)

// room bounds the events that are published and not answered, by number and by size. Who finds no room waits in line.
type room struct {
	mu        sync.Mutex
	mostBytes int
	most      int
	bytes, n  int
	line      []*guest
}

// guest is a publish that waits for room.
type guest struct {
	size  int
	ready chan struct{} // closed when it has its room
}

func (r *room) fits(size int) bool { return r.n == 0 || r.n < r.most && r.bytes+size <= r.mostBytes }

func (r *room) take(size int) {
	r.n++
	r.bytes += size
}

// enter takes room for an event, and waits for it until ctx ends or stop is closed. It reports whether there is room.
func (r *room) enter(ctx context.Context, size int, stop <-chan struct{}) bool {
	r.mu.Lock()
	if len(r.line) == 0 && r.fits(size) {
		r.take(size)
		r.mu.Unlock()
		return true
	}
	g := &guest{size: size, ready: make(chan struct{})}
	r.line = append(r.line, g)
	r.mu.Unlock()
	select {
	case <-g.ready:
		return true
	case <-ctx.Done():
	case <-stop:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.line, g); i >= 0 {
		r.line = slices.Delete(r.line, i, i+1)
		r.admit()
		return false
	}
	r.leave(size) // it got its room in the same moment
	return false
}

// exit gives room back.
func (r *room) exit(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(size)
}

// leave is exit for a caller that holds the lock.
func (r *room) leave(size int) {
	r.n--
	r.bytes -= size
	r.admit()
}

// admit lets in those of the line that fit. The caller holds the lock.
func (r *room) admit() {
	for len(r.line) > 0 && r.fits(r.line[0].size) {
		r.take(r.line[0].size)
		close(r.line[0].ready)
		r.line = slices.Delete(r.line, 0, 1)
	}
}
