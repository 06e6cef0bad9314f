package main

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadingsAreStoredInBatches(t *testing.T) {
	t.Parallel()
	url := brokertest.StartPostgres(t)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s := &store{pool: pool}
	require.NoError(t, s.create(t.Context()))
	var before, after int
	count := func(n *int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM readings`).Scan(n))
	}
	count(&before)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), url, 5_000, &out))
	assert.Equal(t, "4995 readings stored, 5 poisoned\n", out.String())
	count(&after)
	assert.Equal(t, 4_995, after-before)

	r := Reading{Sensor: "a", Celsius: 20}
	e, err := ReadingTaken.New(r)
	require.NoError(t, err)
	for range 2 { // it comes again
		require.Equal(t, leat.BatchErrors{nil}, s.insert(t.Context(), []leat.Event{e}, []Reading{r}))
	}
	count(&before)
	assert.Equal(t, after+1, before)
}

// A database that is down is an error of all events, and rejects none.
func TestADatabaseThatIsDownRejectsNothing(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://leat@127.0.0.1:1/none?sslmode=disable")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	e, err := ReadingTaken.New(Reading{})
	require.NoError(t, err)
	err = (&store{pool: pool}).insert(t.Context(), []leat.Event{e}, []Reading{{}})
	var outcomes leat.BatchErrors
	require.ErrorAs(t, err, &outcomes)
	require.Len(t, outcomes, 1)
	require.Error(t, outcomes[0])
	assert.False(t, leat.IsDecided(outcomes[0]))
}
