package publish

// Listed returns the entries of parts that are not answered, in the order in which they were
// admitted.
func Listed[T any](l *Ledger[T]) (all []*Entry[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := l.oldest; p != nil; p = p.newer {
		for i := range p.entries {
			all = append(all, &p.entries[i])
		}
	}
	return all
}

// UnderWay returns what takes up room.
func UnderWay[T any](l *Ledger[T]) (events, bytes int64) { return l.events.Load(), l.bytes.Load() }
