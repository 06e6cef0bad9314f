package load

import (
	"sync"
	"sync/atomic"
)

// How publishers publish.
const (
	InFlight = 10_000 // of asynchronous publishers
	Batchers = 4      // goroutines that publish batches
	Batch    = 1_000
	Callers  = 256 // goroutines that publish one by one
)

// InParallel splits n events from the first on into parts of up to size, and has goroutines publish
// one part after the other until one fails. It returns how many events are in parts that succeeded.
func InParallel(goroutines, size, first, n int, publish func(first, n int) error) (int64, error) {
	var next, acked atomic.Int64
	var failed FirstError
	var all sync.WaitGroup
	next.Store(int64(first))
	end := int64(first + n)
	for range goroutines {
		all.Go(func() {
			for failed.Err() == nil {
				from := next.Add(int64(size)) - int64(size)
				if from >= end {
					return
				}
				part := min(int64(size), end-from)
				if err := publish(int(from), int(part)); err != nil {
					failed.Note(err)
					return
				}
				acked.Add(part)
			}
		})
	}
	all.Wait()
	return acked.Load(), failed.Err()
}

// FirstError keeps the first error that it is told.
type FirstError struct{ first atomic.Pointer[error] }

// Note keeps an error, unless there is one or it is nil.
func (f *FirstError) Note(err error) {
	if err != nil {
		f.first.CompareAndSwap(nil, &err)
	}
}

// Err returns the first error.
func (f *FirstError) Err() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}
