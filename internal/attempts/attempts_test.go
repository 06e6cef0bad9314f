package attempts_test

import (
	"bytes"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/attempts"
	"github.com/stretchr/testify/assert"
)

func keep(t *attempts.Table, i int) { t.Keep("/s", strconv.Itoa(i), attempts.Entry{Attempts: 7}) }

func TestTableIsBounded(t *testing.T) {
	table := &attempts.Table{}
	for i := range attempts.Max + 100 {
		keep(table, i)
	}
	assert.Equal(t, attempts.Max, table.Len())
	_, found := table.Find("/s", "0")
	assert.False(t, found, "the oldest goes first")
	newest, found := table.Find("/s", strconv.Itoa(attempts.Max+99))
	assert.True(t, found)
	assert.Equal(t, 7, newest.Attempts)
}

// An entry that was forgotten and made again must not be dropped when the place of the first is
// used again.
func TestEntryMadeAgainIsAsYoungAsItIs(t *testing.T) {
	table := &attempts.Table{}
	keep(table, 0)
	table.Forget("/s", "0")
	for i := 1; i < attempts.Max-1; i++ {
		keep(table, i)
	}
	keep(table, 0) // the youngest of all
	keep(table, attempts.Max+1)
	_, found := table.Find("/s", "0")
	assert.True(t, found)
}

func TestKeepReplaces(t *testing.T) {
	table := &attempts.Table{}
	now := time.Now()
	keep(table, 1)
	table.Keep("/s", "1", attempts.Entry{Attempts: 8, First: now})
	e, found := table.Find("/s", "1")
	assert.True(t, found)
	assert.Equal(t, attempts.Entry{Attempts: 8, First: now}, e)
	assert.Equal(t, 1, table.Len())
	_, found = table.Find("/other", "1")
	assert.False(t, found)
}

// liveHeap returns the bytes that are reachable.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What the table remembers must not keep the events in memory: source and id may share one string
// with all attributes.
func TestTableKeepsNoEventInMemory(t *testing.T) {
	table := &attempts.Table{}
	before := liveHeap()
	for i := range 128 {
		attributes := string(append(bytes.Repeat([]byte("x"), 600_000), strconv.Itoa(i)...))
		table.Keep(attributes[:2], attributes[600_000:], attempts.Entry{Attempts: 1})
	}
	kept := liveHeap() - before
	assert.Less(t, kept, int64(1<<20), "128 events of 600 KB left %d bytes", kept)
	assert.Equal(t, 128, table.Len()) // which also keeps the table alive until here
}

// The comment says what a full table takes.
func TestTableIsAsLargeAsItSays(t *testing.T) {
	table := &attempts.Table{}
	before := liveHeap()
	for i := range 2 * attempts.Max {
		keep(table, i)
	}
	each := (liveHeap() - before) / attempts.Max
	assert.LessOrEqual(t, each, int64(130), "bytes for each entry")
	assert.Equal(t, attempts.Max, table.Len())
}
