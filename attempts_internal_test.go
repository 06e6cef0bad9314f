package leat

import (
	"bytes"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAttemptTableIsBounded(t *testing.T) {
	e := &engine{epoch: time.Now()}
	table := &attemptTable{}
	newItem := func(i int) *item {
		ev, err := NewEvent("t", &EventOptions{ID: strconv.Itoa(i), Source: "/s"})
		require.NoError(t, err)
		return &item{d: Delivery{Event: ev, Deliveries: 2}, batch: &batch{engine: e}}
	}
	for i := range maxAttemptEntries + 100 {
		it := newItem(i)
		it.attempts = 7
		table.keep(it)
	}
	assert.Len(t, table.entries, maxAttemptEntries)
	assert.Len(t, table.order, maxAttemptEntries)
	oldest, newest := newItem(0), newItem(maxAttemptEntries+99)
	table.restore(oldest)
	table.restore(newest)
	assert.Zero(t, oldest.attempts)
	assert.Equal(t, 7, newest.attempts)
}

// An entry that was forgotten and made again must not be dropped when the place of the first is used again.
func TestAttemptTableEntryMadeAgainIsAsYoungAsItIs(t *testing.T) {
	e := &engine{epoch: time.Now()}
	table := &attemptTable{}
	newItem := func(i int) *item {
		ev, err := NewEvent("t", &EventOptions{ID: strconv.Itoa(i), Source: "/s"})
		require.NoError(t, err)
		return &item{attempts: 3, d: Delivery{Event: ev, Deliveries: 2}, batch: &batch{engine: e}}
	}
	table.keep(newItem(0))
	table.forget(newItem(0))
	for i := 1; i < maxAttemptEntries-1; i++ {
		table.keep(newItem(i))
	}
	table.keep(newItem(0)) // the youngest of all
	table.keep(newItem(maxAttemptEntries + 1))
	again := newItem(0)
	again.attempts = 0
	table.restore(again)
	assert.Equal(t, 3, again.attempts)
}

// fatAttributes are those of an event with 600 KB of extensions.
func fatAttributes(id string) []Header {
	attributes := []Header{
		{"specversion", []byte("1.0")}, {"type", []byte("t")}, {"source", []byte("/s")}, {"id", []byte(id)},
	}
	for i := range 10 {
		attributes = append(attributes, Header{"fat" + strconv.Itoa(i), bytes.Repeat([]byte("x"), 60_000)})
	}
	return attributes
}

// liveHeap returns the bytes that are reachable.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What the table remembers must not keep the events in memory: source and id share one string with all attributes.
func TestAttemptTableKeepsNoEventInMemory(t *testing.T) {
	e := &engine{epoch: time.Now()}
	table := &attemptTable{}
	before := liveHeap()
	for i := range 128 {
		ev, err := DecodeEvent(fatAttributes(strconv.Itoa(i)), nil)
		require.NoError(t, err)
		table.keep(&item{attempts: 1, d: Delivery{Event: ev, Deliveries: 2}, batch: &batch{engine: e}})
	}
	kept := liveHeap() - before
	assert.Less(t, kept, int64(1<<20), "128 events of 600 KB left %d bytes", kept)
	assert.Len(t, table.entries, 128) // which also keeps the table alive until here
}

// The comment says what a full table takes.
func TestAttemptTableIsAsLargeAsItSays(t *testing.T) {
	e := &engine{epoch: time.Now()}
	table := &attemptTable{}
	before := liveHeap()
	for i := range 2 * maxAttemptEntries {
		ev, err := NewEvent("t", &EventOptions{ID: strconv.Itoa(i), Source: "/s"})
		require.NoError(t, err)
		table.keep(&item{attempts: 1, d: Delivery{Event: ev, Deliveries: 2}, batch: &batch{engine: e}})
	}
	each := (liveHeap() - before) / maxAttemptEntries
	assert.LessOrEqual(t, each, int64(130), "bytes for each entry")
	assert.Len(t, table.entries, maxAttemptEntries)
}
