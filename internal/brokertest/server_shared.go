package brokertest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
)

// oneServer is the one server of a kind of a test binary.
type oneServer struct {
	variable string
	addrOf   func(*server) string // what the variable would be set to
	answers  func(ctx context.Context, addr string) error
	run      func(context.Context) (*server, error)

	start  sync.Once
	addr   string
	server *server // nil when it was started elsewhere
	err    error
}

func (s *oneServer) get(t testing.TB) string {
	t.Helper()
	s.start.Do(func() { s.open(t.Context()) })
	require(t, s.err)
	if s.server != nil {
		t.Cleanup(func() { showLog(t, s.server.Process) })
	}
	return s.addr
}

func (s *oneServer) open(ctx context.Context) {
	addrs, err := addrsFromEnv(s.variable)
	if err != nil {
		s.err = err
		return
	}
	if len(addrs) > 0 {
		s.addr = addrs[0]
		if err := s.answers(ctx, s.addr); err != nil {
			s.err = fmt.Errorf("%s names a server that does not answer: %w", s.variable, err)
		}
		return
	}
	// The test that comes first ends before the others.
	s.server, s.err = s.run(context.WithoutCancel(ctx))
	if s.err == nil {
		s.addr = s.addrOf(s.server)
	}
}

func (s *oneServer) close() {
	if s.server == nil {
		return
	}
	if err := s.server.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "remove "+s.server.spec.name+":", err)
	}
}

// startServer starts a server that belongs to a test.
func startServer(t testing.TB, variable string, run func(context.Context) (*server, error)) *server {
	t.Helper()
	_, err := addrsFromEnv(variable)
	require(t, err)
	s, err := run(t.Context())
	require(t, err)
	t.Cleanup(func() {
		showLog(t, s.Process)
		if err := s.Close(); err != nil {
			t.Errorf("remove %s: %v", s.spec.name, err)
		}
	})
	noteStandstills(t, s.Process) // until shortly before the server is closed
	return s
}
