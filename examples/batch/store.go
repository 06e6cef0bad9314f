package main

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/leatgo/leat"
)

// store writes to the database.
type store struct{ pool *pgxpool.Pool }

func (s *store) create(ctx context.Context) error {
	_, err := s.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS readings (
		event text PRIMARY KEY, sensor text NOT NULL, celsius float8 NOT NULL CHECK (celsius > -273.16))`)
	return err
}

// insert stores a batch.
func (s *store) insert(ctx context.Context, events []leat.Event, readings []Reading) error {
	outcomes := make(leat.BatchErrors, len(events))
	s.insertAll(ctx, events, readings, outcomes)
	return outcomes
}

// insertAll stores events in one transaction. When the data of one of them is at fault, that fails
// for all, so each half is tried by itself, until the ones at fault are found, and rejected. Any
// other error is one of the database, and all events come again.
func (s *store) insertAll(ctx context.Context, events []leat.Event, readings []Reading, outcomes leat.BatchErrors) {
	err := s.copy(ctx, events, readings)
	if half := len(events) / 2; isDataError(err) && half > 0 {
		s.insertAll(ctx, events[:half], readings[:half], outcomes[:half])
		s.insertAll(ctx, events[half:], readings[half:], outcomes[half:])
		return
	}
	if isDataError(err) {
		err = leat.Reject(err)
	}
	for i := range outcomes {
		outcomes[i] = err
	}
}

// copy stores events with COPY. Through a table of its own, because COPY cannot pass over what is
// there already: events are delivered at least once.
func (s *store) copy(ctx context.Context, events []leat.Event, readings []Reading) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `CREATE TEMP TABLE arrived (LIKE readings) ON COMMIT DROP`); err != nil {
			return err
		}
		rows := pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
			return []any{events[i].Source() + " " + events[i].ID(), readings[i].Sensor, readings[i].Celsius}, nil
		})
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"arrived"}, []string{"event", "sensor", "celsius"}, rows); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO readings SELECT event, sensor, celsius FROM arrived ON CONFLICT DO NOTHING`)
		return err
	})
}

// isDataError reports whether PostgreSQL refused the data: class 22, a data exception, or 23, an
// integrity constraint (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func isDataError(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(refused.Code, "22") || strings.HasPrefix(refused.Code, "23"))
}
