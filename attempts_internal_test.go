package leat

import (
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
