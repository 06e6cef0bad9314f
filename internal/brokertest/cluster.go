package brokertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
)

// cluster is the nodes of a broker, one or several. It is safe for concurrent use.
type cluster struct {
	sandbox   *sandbox // nil for one that is kept
	processes []*Process

	mu    sync.Mutex
	whole bool // all nodes have been up together since the last Start of all
}

// Node returns a node by its number, which counts from 1.
func (c *cluster) Node(n int) *Process { return c.processes[n-1] }

// Nodes returns all nodes, in the order of their numbers.
func (c *cluster) Nodes() []*Process { return append([]*Process(nil), c.processes...) }

// Start starts the nodes that do not run, together, and returns when all can be used.
func (c *cluster) Start(ctx context.Context) error {
	c.setWhole(false)
	err := c.each(func(p *Process) error {
		if r := p.running(); r != nil {
			return p.await(ctx, r)
		}
		return p.Start(ctx)
	})
	c.setWhole(err == nil)
	return err
}

func (c *cluster) setWhole(whole bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole = whole
}

func (c *cluster) isWhole() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whole
}

// Restart stops all nodes and starts them with the data that they have.
func (c *cluster) Restart(ctx context.Context) error {
	return errors.Join(c.Stop(), c.Start(ctx))
}

// Stop asks all nodes to end; see [Process.Stop]. A Kafka of several nodes takes some seconds for
// it, because the last nodes have no quorum any more.
func (c *cluster) Stop() error { return c.each((*Process).Stop) }

// Kill ends all nodes at once; see [Process.Kill].
func (c *cluster) Kill() {
	_ = c.each(func(p *Process) error { p.Kill(); return nil })
}

// Pause freezes all nodes; see [Process.Pause].
func (c *cluster) Pause() error { return c.each((*Process).Pause) }

// Resume lets all nodes go on.
func (c *cluster) Resume() error { return c.each((*Process).Resume) }

// Close kills all nodes and removes their folder, unless that is kept.
func (c *cluster) Close() error {
	c.Kill()
	if c.sandbox == nil {
		return nil
	}
	return c.sandbox.close()
}

// each calls f for all nodes at the same time.
func (c *cluster) each(f func(*Process) error) error {
	errs := make([]error, len(c.processes))
	var all sync.WaitGroup
	for i, p := range c.processes {
		all.Go(func() { errs[i] = f(p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// showLogs puts the end of each node's log into the output of a test that has failed.
func (c *cluster) showLogs(t testing.TB) {
	t.Helper()
	for _, p := range c.processes {
		showLog(t, p)
	}
}

// startNew makes a broker and starts it. It makes another one where the error has one of the texts:
// another program can take a port between its choice and its use.
func startNew[B interface {
	Start(ctx context.Context) error
	Close() error
}](ctx context.Context, create func() (B, error), portTaken ...string) (B, error) {
	var none B
	for attempt := 1; ; attempt++ {
		b, err := create()
		if err != nil {
			return none, err
		}
		if err = b.Start(ctx); err == nil {
			return b, nil
		}
		err = errors.Join(err, b.Close())
		if attempt == 3 || !containsAny(err.Error(), portTaken) {
			return none, err
		}
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
