package leat_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

// skipAll publishes an event of each type, in order, to a Router that wants none of them, and
// returns the lines of the log that name one.
func skipAll(t *testing.T, types ...string) []string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		router := leat.NewRouter(leat.Route{Type: "wanted", Handler: &recorder{}})
		c := leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, router, &leat.ConsumerOptions{
			Concurrency: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- leat.Run(ctx, c) }()
		synctest.Wait()
		p := leat.NewProducer(b, nil)
		for i, kind := range types {
			e, err := leat.NewEvent(kind, &leat.EventOptions{ID: fmt.Sprint(i), Source: "/s", Key: "k"})
			require.NoError(t, err)
			require.NoError(t, p.Publish(ctx, "orders", e.WithText("SECRET")))
		}
		synctest.Wait()
		assert.EqualValues(t, len(types), c.Stats().Skipped, "each is counted")
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, b.Close())
	})
	assert.NotContains(t, log.String(), "SECRET")
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "route") {
			lines = append(lines, line)
		}
	}
	return lines
}

// The log names a type that no route wants once, however many events of it come.
func TestATypeWithoutARouteIsLoggedOnce(t *testing.T) {
	lines := skipAll(t, "shipped", "paid", "shipped", "shipped", "paid")
	require.Len(t, lines, 2, "%q", lines)
	for i, kind := range []string{"shipped", "paid"} {
		assert.Contains(t, lines[i], "topic=orders group=billing type="+kind)
		assert.Contains(t, lines[i], "level=INFO")
	}
}

// Types from outside neither fill the log nor the memory.
func TestTheLogOfTypesWithoutARouteHasABound(t *testing.T) {
	types := []string{strings.Repeat("x", 4<<10)}
	for i := range 300 {
		types = append(types, fmt.Sprintf("t%d", i))
	}
	lines := skipAll(t, types...)
	require.Len(t, lines, 101)
	assert.Less(t, len(lines[0]), 400, "a type is cut")
	assert.Contains(t, lines[100], "more types")
	assert.Contains(t, lines[100], "named=100")
}

// What a Router wants is not in the log.
func TestATypeWithARouteIsNotLogged(t *testing.T) {
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		b, seen := memory.New(nil), &recorder{}
		c := leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, leat.NewRouter(leat.Route{Type: "a", Handler: seen}),
			&leat.ConsumerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- leat.Run(ctx, c) }()
		synctest.Wait()
		require.NoError(t, leat.NewProducer(b, nil).Publish(ctx, "orders", event(t, "1", "k").WithType("a")))
		synctest.Wait()
		assert.Equal(t, []string{"a"}, seen.types)
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, b.Close())
	})
	assert.NotContains(t, log.String(), "route")
}
