package awsstub

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// Fault is something that the stub does wrong. It applies to each call of an action, or to a share
// of them.
type Fault struct {
	Action string  // "" is every action
	Share  float64 // of the calls, at random; 0 is all
	Times  int     // after so many it is over; 0 is never

	// Code is the error that is answered instead of doing the action: Throttling, AccessDenied or
	// KmsDisabled. Server makes it a fault of the service (500), not of the sender (400).
	Code   string
	Server bool

	// PerEntry answers 200, and applies Code to entries of the batch instead of to the call.
	PerEntry bool

	Delay time.Duration // before anything else
	Lose  bool          // do the action, and end the connection without an answer
	Hang  bool          // neither do the action nor answer, until the fault is removed
}

type fault struct {
	Fault

	left   int
	random *rand.Rand
	gone   chan struct{}
}

// Break adds a fault and returns what removes it. The first fault that applies counts.
func (s *Server) Break(f Fault) (repair func()) {
	one := &fault{Fault: f, left: f.Times, random: rand.New(rand.NewPCG(1, 2)), gone: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, one)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(one)
	}
}

func (s *Server) remove(gone *fault) {
	for i, f := range s.faults {
		if f == gone {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			close(f.gone)
			return
		}
	}
}

// strike counts a call and returns the fault that it suffers, nil for none. A fault of entries is
// returned and not counted.
func (s *Server) strike(action string) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[action]++
	for _, f := range s.faults {
		if !f.PerEntry && s.applies(f, action) {
			return f
		}
	}
	return nil
}

// entryFault returns the error that an entry of a batch suffers. The lock is held.
func (s *Server) entryFault(action string) *problem {
	for _, f := range s.faults {
		if f.PerEntry && s.applies(f, action) {
			return f.problem()
		}
	}
	return nil
}

func (s *Server) applies(f *fault, action string) bool {
	if f.Action != "" && f.Action != action || f.Share > 0 && f.random.Float64() >= f.Share {
		return false
	}
	if f.Times > 0 {
		if f.left == 0 {
			return false
		}
		f.left--
	}
	return true
}

func (f *fault) problem() *problem {
	status := http.StatusBadRequest
	switch {
	case f.Server:
		status = http.StatusInternalServerError
	case f.Code == "AccessDenied" || f.Code == "AuthorizationError":
		status = http.StatusForbidden
	}
	return &problem{f.Code, "The test asked for this error.", status}
}

// abort ends the connection of a request without an answer.
func abort() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http is told so
}

// suffer does what a fault says, and reports whether the action is done all the same.
func (*Server) suffer(life context.Context, w http.ResponseWriter, answer answerer, f *fault) bool {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-life.Done():
		}
	}
	if f.Hang {
		select {
		case <-f.gone:
		case <-life.Done():
		}
		abort()
	}
	if f.Code != "" {
		answer.fail(w, f.problem())
		return false
	}
	return true
}
