package middleware_test

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// handled is a Store on the database of the handler:
//
//	CREATE TABLE handled (key VARCHAR(255) PRIMARY KEY)
type handled struct{ db *sql.DB }

const insertHandled = "INSERT INTO handled (key) VALUES ($1) ON CONFLICT DO NOTHING"

func (h handled) Seen(ctx context.Context, key string) (seen bool, err error) {
	err = h.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM handled WHERE key = $1)", key).Scan(&seen)
	return seen, err
}

func (h handled) Mark(ctx context.Context, key string) error {
	_, err := h.db.ExecContext(ctx, insertHandled, key)
	return err
}

// charge writes the key of the event in the transaction of its own row, so that it charges once,
// whatever crashes and however often the event comes.
func (h handled) charge(ctx context.Context, e leat.Event) (err error) {
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	marked, err := tx.ExecContext(ctx, insertHandled, middleware.IdempotencyKey(ctx))
	if err != nil {
		return err
	}
	n, err := marked.RowsAffected()
	if err != nil {
		return err
	}
	if n == 1 { // else another delivery of the event has committed meanwhile
		if _, err = tx.ExecContext(ctx, "INSERT INTO charges (order_id) VALUES ($1)", e.Subject()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func ExampleIdempotencyKey() {
	h := handled{db: nil} // a PostgreSQL, for example
	_ = leat.Chain(leat.HandlerFunc(h.charge),
		middleware.Retry(nil),
		middleware.Idempotent(h, nil),
		middleware.Timeout(10*time.Second),
	)
	// Output:
}
