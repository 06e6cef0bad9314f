package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errDeclined = errors.New("the bank does not answer")

// handle is a handler as a function.
type handle = func(ctx context.Context, e leat.Event) error

func nothing(context.Context, leat.Event) error { return nil }

func newEvent(t testing.TB, kind, id, key string) leat.Event {
	t.Helper()
	e, err := leat.NewEvent(kind, &leat.EventOptions{ID: id, Source: "/shop", Key: key, Data: []byte("secret payload")})
	require.NoError(t, err)
	return e
}

func publishOn(t testing.TB, rec *eventtest.Recorder, topic string, events ...leat.Event) {
	t.Helper()
	require.NoError(t, leat.NewProducer(rec.Broker(), nil).Publish(t.Context(), topic, events...))
}

// serve starts a consumer on a connection of its own, whose Observer is the Recorder, and returns
// what stops it.
func serve(t testing.TB, rec *eventtest.Recorder, topic, group string, h handle, o *leat.ConsumerOptions) (stop func()) {
	t.Helper()
	var observed leat.ConsumerOptions
	if o != nil {
		observed = *o
	}
	observed.Observer = rec
	return serveWith(t, rec, topic, group, h, &observed)
}

// serveWith is serve with the options as they are.
func serveWith(t testing.TB, rec *eventtest.Recorder, topic, group string, h handle, o *leat.ConsumerOptions) (stop func()) {
	t.Helper()
	return serveHandler(t, rec, topic, group, leat.HandlerFunc(h), o)
}

// serveHandler is serveWith for a handler that is no function.
func serveHandler(t testing.TB, rec *eventtest.Recorder, topic, group string, h leat.Handler, o *leat.ConsumerOptions) (stop func()) {
	t.Helper()
	sub := leat.Subscription{Topic: topic, Group: group}
	if group == eventtest.BroadcastGroup {
		sub = leat.Subscription{Topic: topic, Broadcast: true}
	}
	consumer := leat.NewConsumer(rec.Broker(), sub, h, o)
	return rec.Start(t, func(ctx context.Context) error { return leat.Run(ctx, consumer) }, group)
}

// relay returns a handler that publishes an event of its own for each that it gets.
func relay(t testing.TB, rec *eventtest.Recorder, topic, kind string) handle {
	t.Helper()
	producer := leat.NewProducer(rec.Broker(), nil)
	return func(ctx context.Context, e leat.Event) error {
		return producer.Publish(ctx, topic, newEvent(t, kind, e.ID()+"-"+kind, e.Key()))
	}
}

// failingT is a testing.TB that notes why the test failed. Its Fatal returns.
type failingT struct {
	testing.TB

	why []string
}

func (t *failingT) Helper() {}

func (t *failingT) Errorf(format string, args ...any) {
	t.why = append(t.why, fmt.Sprintf(format, args...))
}
func (t *failingT) Fatal(args ...any) { t.why = append(t.why, fmt.Sprint(args...)) }

func (t *failingT) Fatalf(format string, args ...any) {
	t.why = append(t.why, fmt.Sprintf(format, args...))
}

// lostWait returns the message of a wait that must fail.
func lostWait(t testing.TB, rec *eventtest.Recorder) string {
	t.Helper()
	f := &failingT{TB: t}
	rec.Settled(f)
	require.Len(t, f.why, 1, "the wait must fail")
	assert.NotContains(t, f.why[0], "secret payload")
	return f.why[0]
}

// firstLines returns the first n lines of a text.
func firstLines(text string, n int) string {
	lines := strings.SplitN(text, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}
