package bench

import (
	"context"
	"fmt"
)

// Loop is an Instance that calls a function again and again on one goroutine.
type Loop struct {
	// Do is the function.
	Do func() error

	done int64
}

// Run calls the function n times.
func (l *Loop) Run(_ context.Context, n int) error {
	for range n {
		if err := l.Do(); err != nil {
			return fmt.Errorf("call %d: %w", l.done+1, err)
		}
		l.done++
	}
	return nil
}

// Handled counts the calls.
func (l *Loop) Handled() int64 { return l.done }

// Close does nothing.
func (l *Loop) Close() error { return nil }
