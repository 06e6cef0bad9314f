package eventtest

import (
	"fmt"

	"github.com/leatgo/leat"
)

// A stream may withhold later deliveries of a key while earlier ones of it are unsettled (R3,
// Pace.OfKey). What is here keeps cases from expecting more of one key at a time. Where nothing is
// withheld it changes nothing.

// withholds reports whether a stream hands out fewer than n deliveries of one key at a time.
func (r *run) withholds(n int) bool { return r.ofKey(n) < n }

// ofKey returns how many of n deliveries of one key can be unsettled at a time.
func (r *run) ofKey(n int) int {
	if most := paceOf(r.h).OfKey; most > 0 {
		return min(n, most)
	}
	return n
}

// keyOf returns the key for the i-th of n events that are to be unsettled together: the same for
// all, or one each.
func (r *run) keyOf(i, n int) string {
	if r.withholds(n) {
		return fmt.Sprint("k-", i)
	}
	return "k"
}

// pass acks deliveries that the case is done with, where the next ones of their keys would be
// withheld.
func (rd *reader) pass(ds ...leat.Delivery) {
	if paceOf(rd.r.h).OfKey > 0 {
		rd.settle(acked(), ds...)
	}
}

// all takes n deliveries to look at, of any keys. Where a stream withholds, it acks each, so that
// the case cannot settle them.
func (rd *reader) all(n int) []leat.Delivery {
	if paceOf(rd.r.h).OfKey == 0 {
		return rd.take(n)
	}
	var got []leat.Delivery
	for len(got) < n {
		some := rd.take(1)
		rd.pass(some...)
		got = append(got, some...)
	}
	return got
}

// finish takes n deliveries, of any keys, and acks them.
func (rd *reader) finish(n int) []leat.Delivery {
	got := rd.all(n)
	if paceOf(rd.r.h).OfKey == 0 {
		rd.settle(acked(), got...)
	}
	return got
}
