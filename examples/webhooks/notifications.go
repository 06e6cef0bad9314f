package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/leatgo/leat"
)

// notifications passes every event on to an endpoint that is not always there. Here that endpoint
// is a rule, so that a run can be compared with the one before: news of something created meets it
// while it restarts, and works the second time; the news that the webhook itself was deleted never
// finds it again.
type notifications struct {
	delivered atomic.Int64
}

const (
	restartingSuffix = ".created"
	goneType         = "com.github.meta.deleted"
)

var (
	errRestarting = errors.New("the endpoint answers 503 Service Unavailable")
	errGone       = errors.New("the endpoint refuses the connection")
)

// Handle only reports what happened; the middleware decides on the retry, and on the end of it.
func (n *notifications) Handle(ctx context.Context, e leat.Event) error {
	if e.Type() == goneType {
		return errGone
	}
	if info, ok := leat.InfoFrom(ctx); ok && info.Attempt == 1 && strings.HasSuffix(e.Type(), restartingSuffix) {
		return errRestarting
	}
	n.delivered.Add(1)
	return nil
}

func (n *notifications) wants(string) bool { return true }

func (n *notifications) summary() string {
	return fmt.Sprintf("%d events passed on to the endpoint", n.delivered.Load())
}
