package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ledger is what the services need of a database.
type ledger interface {
	// once writes a row unless it is there.
	once(ctx context.Context, table, id string, cents int) error
}

// store is the database of a service. It knows what was done already, because an event may come
// again: after a crash, or when the broker did not hear the acknowledgement.
type store struct{ db *sql.DB }

// openStore opens the SQLite database in a file, and creates it where it is missing.
func openStore(ctx context.Context, path string) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	for _, table := range []string{"charges", "shipments"} {
		if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+table+" (id TEXT PRIMARY KEY, cents INTEGER)"); err != nil {
			return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), db.Close())
		}
	}
	return &store{db}, nil
}

// once implements ledger. What the service does for an event and the note that it did
// are the same row, so no crash comes between them. A database that fails is down for all events:
// the consumer pauses, and no event goes to the poison queue for it.
func (s *store) once(ctx context.Context, table, id string, cents int) error {
	if _, err := s.db.ExecContext(ctx, "INSERT INTO "+table+" VALUES (?, ?) ON CONFLICT DO NOTHING", id, cents); err != nil {
		return leat.Pause(time.Second, fmt.Errorf("the database: %w", err))
	}
	return nil
}

// count returns how many rows a table has.
func (s *store) count(ctx context.Context, table string) (n int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

func (s *store) Close() error { return s.db.Close() }
