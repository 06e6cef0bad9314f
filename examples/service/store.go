package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
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

// once implements ledger. What the service does for an event and the note that it did are the same
// row, so no crash comes between them. A database that is down is so for all events: the consumer
// pauses, and no event goes to the poison queue for it. Any other error may be that of the event,
// and counts as an attempt.
func (s *store) once(ctx context.Context, table, id string, cents int) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO "+table+" VALUES (?, ?) ON CONFLICT DO NOTHING", id, cents)
	switch {
	case err == nil:
		return nil
	case isDown(err):
		return leat.Pause(time.Second, fmt.Errorf("the database is down: %w", err))
	}
	return fmt.Errorf("the database: %w", err)
}

// isDown reports whether err says that the database cannot be used, and not what is wrong with a
// statement. A database on a network needs the second line alone.
func isDown(err error) bool {
	own, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return middleware.IsInfrastructure(err)
	}
	switch own.Code() & 0xff { // the rest of the code is a detail
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN:
		return true
	}
	return false
}

// count returns how many rows a table has.
func (s *store) count(ctx context.Context, table string) (n int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, err
}

func (s *store) Close() error { return s.db.Close() }
