package main

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/examples/internal/canary"
	"github.com/stretchr/testify/require"
)

// TestNothingOfAReadingLeaksOut looks for it in spans, metrics and logs, while the database is
// down.
func TestNothingOfAReadingLeaksOut(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "postgres://user@127.0.0.1:1/nowhere")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	route := ReadingTaken.Batch(&leat.BatchOptions{MaxWait: time.Millisecond}, (&store{pool: pool}).insert)
	e, err := ReadingTaken.New(Reading{Sensor: canary.Private, Celsius: 20})
	require.NoError(t, err)
	canary.Check(t, leat.Subscription{Topic: ReadingTaken.Topic, Group: "archive"}, leat.NewRouter(route), canary.Private, e, e)
}
