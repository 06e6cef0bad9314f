package publish_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/publish"
	"github.com/stretchr/testify/require"
)

const timeout = 10 * time.Second

type (
	entry  = publish.Entry[int]
	ledger = publish.Ledger[int]
)

// event returns an event whose Size grows with bytes.
func event(tb testing.TB, id string, bytes int) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("t", &leat.EventOptions{ID: id, Source: "/s", Data: []byte(strings.Repeat("x", bytes))})
	require.NoError(tb, err)
	return e
}

// outcomes are what done was told.
type outcomes struct {
	mu  sync.Mutex
	all []string // by index; "" while it is not known
}

func newOutcomes(n int) *outcomes { return &outcomes{all: make([]string, n)} }

func (o *outcomes) done(i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := "ok"
	if err != nil {
		text = leat.CodeOf(err).String()
	}
	if o.all[i] != "" {
		text = o.all[i] + " and " + text // P1 is broken
	}
	o.all[i] = text
}

func (o *outcomes) list() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.all...)
}

// admitted collects what the ledger hands over.
type admitted struct {
	mu  sync.Mutex
	all []*entry
}

func (a *admitted) accept(entries []entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range entries {
		a.all = append(a.all, &entries[i])
	}
}

func (a *admitted) list() []*entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*entry(nil), a.all...)
}

func (a *admitted) ids() (ids []string) {
	for _, e := range a.list() {
		ids = append(ids, e.Event().ID())
	}
	return ids
}

// offer admits n events of so many bytes of data, whose ids are the name and the index.
func offer(ctx context.Context, tb testing.TB, l *ledger, name string, n, bytes int, to *admitted) *outcomes {
	tb.Helper()
	o := newOutcomes(n)
	b := l.Batch("topic", n, o.done)
	for i := range n {
		b.Add(i, event(tb, fmt.Sprintf("%s%d", name, i), bytes))
	}
	l.Admit(ctx, b, to.accept)
	return o
}

var errTest = errors.New("test")

func refusedWith(code leat.Code) error { return &leat.Error{Code: code, Err: errTest} }
