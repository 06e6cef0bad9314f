package eventtest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/leatgo/leat"
)

// service is a process that crashes and starts again, or, outside, a driver, which does neither.
type service struct {
	c       *chaos
	name    string
	index   int
	outside bool
	run     func(ctx context.Context, b leat.Broker) error
	life    *handle
	lives   int
	running bool
	// returned says that a life which crashed has ended, so that the next may begin.
	returned bool
	cancel   context.CancelCauseFunc
}

// live is the goroutine of one life.
func (s *service) live(ctx context.Context, h *handle) {
	var err error
	returned := false
	defer func() {
		if v := recover(); v != nil {
			s.c.fail(s.name+" runs", fmt.Errorf("it panicked: %v\n%s", v, debug.Stack()))
		}
		s.ended(h, returned, err)
	}()
	err = s.run(ctx, h)
	returned = true
}

// ended takes note that a life has ended. After a crash the next may begin.
func (s *service) ended(h *handle, returned bool, err error) {
	c := s.c
	c.mu.Lock()
	s.running = false
	dead := h.dead
	s.returned = dead
	c.stir()
	c.mu.Unlock()
	switch {
	case dead:
	case s.outside && returned && err == nil:
	case s.outside && returned:
		c.fail(s.name+" runs", err)
	case !returned:
		c.fail(s.name+" runs", errors.New("its function ended its goroutine"))
	case err == nil:
		c.fail(s.name+" runs", errors.New("its function returned before its context ended"))
	default:
		c.fail(s.name+" runs", fmt.Errorf("its function returned before its context ended: %w", err))
	}
}
