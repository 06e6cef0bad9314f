package leat_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/require"
)

// FuzzPoisonable: whatever can be decoded, and whatever cannot, can be poisoned within the limits,
// and PoisonedFrom tells what it was.
func FuzzPoisonable(f *testing.F) {
	f.Add([]byte(plainHeaders), []byte(`{"a":1}`), 0, 0, 0, 1<<20, 80, []byte("k"))
	f.Add([]byte(plainHeaders+"\npartitionkey="), []byte(`"x"`), 1<<20-200, 0, 0, 1<<20, 80, []byte("\xff"))
	f.Add([]byte(plainHeaders+"\ndatacontenttype=text/plain"), []byte("é\n"), 400_000, 70, 4000, 256<<10, 80, []byte(""))
	f.Add([]byte(plainHeaders+"\ndatacontenttype=application/json\nleatreason=r\nleatkey=text"), []byte("[1,"), 900_000,
		3, 60_000, 8<<10, 20, []byte("key"))
	f.Add([]byte("id=1\na\"\xff=2"), []byte("\x00"), 2_000_000, 200, 3_000, 9<<10, 33, []byte("key"))
	f.Add([]byte("specversion=1.0\nid="+strings.Repeat("\\", 5000)+"\nsource=/s\ntype="+strings.Repeat("\"", 9000)), []byte(nil), 0,
		0, 0, 8<<10, 20, []byte("a"))
	f.Fuzz(func(t *testing.T, text, data []byte, grow, extensions, valueBytes, maxBytes, maxAttributes int, key []byte) {
		headers := headersFrom(text)
		for i := range min(max(extensions, 0), 200) {
			headers = append(headers, leat.Header{Name: fmt.Sprintf("e%d", i), Value: bytes.Repeat([]byte("v"), min(max(valueBytes, 0), 70_000))})
		}
		if n := min(max(grow, 0), 3<<20); n > len(data) && len(data) > 0 {
			data = bytes.Repeat(data, n/len(data)+1)[:n]
		}
		limits := leat.Limits{MaxEventBytes: min(max(maxBytes, 8<<10), 2<<20), MaxAttributes: min(max(maxAttributes, 20), 100)}
		info := leat.Info{Topic: string(data), Group: string(key), Key: string(key), Attempt: 3}
		p := leat.Poisoned{Reason: errors.New(string(text)), Info: info, At: time.Unix(1, 0)}
		e, err := new(leat.Decoder).Decode(headers, data)
		if err == nil {
			p.Event = e
		} else {
			p.Malformed = &leat.Malformed{Headers: headers, Key: key, Body: data}
		}
		checkPoisonable(t, p, limits)
	})
}

func checkPoisonable(t *testing.T, p leat.Poisoned, limits leat.Limits) {
	effective := leat.Limits{MaxEventBytes: min(limits.MaxEventBytes, 1<<20), MaxAttributes: min(limits.MaxAttributes, 80)}
	e, back := throughPoison(t, p, effective)
	checkParsed(t, e)
	checkNothingUntold(t, p, back)
	again, err := e.MarshalJSON() // through a transport, into the queue's own poison queue
	require.NoError(t, err)
	read, err := leat.ParseEvent(again)
	require.NoError(t, err)
	info := leat.Info{Topic: "t.g.poison", Group: "replay"}
	second := leat.Poisoned{Event: read, Reason: errors.New(strings.Repeat("\x00", 2000)), Info: info}
	_, more := throughPoison(t, second, effective)
	checkNothingUntold(t, p, more)
}

// checkNothingUntold compares what is read from a poison queue with what was put there: what is not
// said to be missing is there.
func checkNothingUntold(t *testing.T, p, back leat.Poisoned) {
	t.Helper()
	original, err := leat.PoisonedFrom(p.Event)
	if err == nil { // it is from a poison queue itself
		p.Event, p.Malformed = original.Event, original.Malformed
	}
	if p.Malformed != nil {
		require.NotNil(t, back.Malformed)
		if back.Reduced == nil {
			require.Equal(t, p.Malformed.Key, back.Malformed.Key)
			require.True(t, bytes.Equal(p.Malformed.Body, back.Malformed.Body))
			require.Len(t, back.Malformed.Headers, len(p.Malformed.Headers))
			return
		}
		require.True(t, bytes.HasPrefix(p.Malformed.Body, back.Malformed.Body))
		require.True(t, bytes.HasPrefix(p.Malformed.Key, back.Malformed.Key))
		require.Equal(t, []int{p.Malformed.Size(), len(p.Malformed.Body), len(p.Malformed.Key)},
			[]int{back.Reduced.Size, back.Reduced.DataSize, back.Reduced.KeySize})
		require.Equal(t, sha(p.Malformed.Body), back.Reduced.DataSHA256)
		require.Equal(t, len(p.Malformed.Headers), len(back.Malformed.Headers)+len(back.Reduced.Dropped)+back.Reduced.DroppedMore)
		return
	}
	if back.Reduced == nil {
		require.True(t, p.Event.Equal(back.Event))
		return
	}
	require.True(t, back.Event.IsZero())
	r := back.Reduced
	require.Equal(t, []int{p.Event.Size(), len(p.Event.Data())}, []int{r.Size, r.DataSize})
	require.Equal(t, sha(p.Event.Data()), r.DataSHA256)
	require.True(t, strings.HasPrefix(p.Event.DataString(), r.Event.DataString()))
	left, missing := maps.Collect(r.Event.Attributes()), 0
	for name, value := range p.Event.Attributes() {
		if left[name] == value {
			continue
		}
		if missing++; r.DroppedMore == 0 {
			require.True(t, slices.Contains(r.Dropped, name), "%s is missing and nobody says so", name)
		}
	}
	require.Equal(t, missing, len(r.Dropped)+r.DroppedMore)
}
