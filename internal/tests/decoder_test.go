package leat_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/view"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// headersOf returns the attributes of an event as bytes that nobody else has.
func headersOf(e leat.Event) (headers []leat.Header) {
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: strings.Clone(name), Value: []byte(value)})
	}
	return headers
}

// made returns an event with extensions.
func made(t *testing.T, id string, extensions ...string) leat.Event {
	t.Helper()
	o := &leat.EventOptions{
		ID: id, Source: "/shop/checkout", Subject: id, DataContentType: "application/json", Key: id, Extensions: map[string]any{},
	}
	for _, name := range extensions {
		o.Extensions[name] = "the value of " + name
	}
	e, err := leat.NewEvent("com.example.order.placed.v1", o)
	require.NoError(t, err)
	return e
}

// same reports whether two texts are one in memory.
func same(a, b string) bool { return &view.Bytes(a)[0] == &view.Bytes(b)[0] }

// TestDecoderAllocates: an event costs the allocations of its own parts, whatever the order of its
// attributes, and whatever else is on the stream.
func TestDecoderAllocates(t *testing.T) {
	poisoned, err := new(leat.Decoder).Decode(append(headersOf(made(t, "p")), leat.Header{Name: "leatreason", Value: []byte("r")}), nil)
	require.NoError(t, err)
	// The event, its text, its data, and a list of extensions.
	streams := map[string]struct {
		want   float64
		events []leat.Event
	}{
		"equal":          {4, []leat.Event{made(t, "1", "tenant", "region", "tier")}},
		"no extensions":  {3, []leat.Event{made(t, "1")}},
		"shapes in turn": {4, []leat.Event{made(t, "1", "tenant", "region"), made(t, "2", "tier", "zone")}},
		"one at times":   {4, []leat.Event{made(t, "1", "tenant"), made(t, "2", "a", "tenant")}},
		"poisoned":       {4, []leat.Event{poisoned}},
	}
	for name, stream := range streams {
		var d leat.Decoder
		i := 0
		messages := make([][]leat.Header, len(stream.events))
		for j, e := range stream.events {
			messages[j] = headersOf(e)
		}
		data := []byte("{}")
		var sources []string
		decode := func() {
			headers := messages[i%len(messages)]
			i++
			rand.Shuffle(len(headers), func(a, b int) { headers[a], headers[b] = headers[b], headers[a] })
			e, err := d.Decode(headers, data)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources[:min(len(sources), 1)], e.Source())
		}
		for range 20 {
			decode()
		}
		assert.InDelta(t, stream.want, testing.AllocsPerRun(200, decode), 0, name)
		sources = sources[1:]
		decode()
		assert.True(t, same(sources[0], sources[1]), "%s: the source is shared", name)
	}
}

// TestDecoderShares: events share what repeats, and nothing with the caller.
func TestDecoderShares(t *testing.T) {
	var d leat.Decoder
	var events []leat.Event
	var given [][]leat.Header
	for i := range 6 {
		given = append(given, headersOf(made(t, fmt.Sprint(i), "tenant")))
		e, err := d.Decode(given[i], nil)
		require.NoError(t, err)
		events = append(events, e)
	}
	last, before := events[5], events[4]
	assert.True(t, same(last.Source(), before.Source()))
	assert.True(t, same(last.Type(), before.Type()))
	assert.True(t, same(last.DataContentType(), before.DataContentType()))
	for i, e := range events {
		for name, value := range e.Extensions() {
			for _, h := range given[i] {
				assert.False(t, h.Name == name && same(h.Name, name), "the name is the caller's")
				clear(h.Value)
			}
			if name == "tenant" {
				assert.Equal(t, "the value of tenant", value)
			}
		}
		assert.Equal(t, "/shop/checkout", e.Source())
		assert.Equal(t, fmt.Sprint(i), e.ID())
	}
}

// TestDecoderManyValues: more values than there are places, each of them several times, are those
// that came, and take no more memory than the places.
func TestDecoderManyValues(t *testing.T) {
	var d leat.Decoder
	headers := headersOf(made(t, "1", "tenant"))
	names := make([]string, 64)
	for i := range names {
		names[i] = strings.Repeat("x", i+60)
	}
	decode := func(i int) {
		value := fmt.Sprintf("/%0250d", i)
		extension := leat.Header{Name: names[i%len(names)], Value: []byte(value)}
		for j := range headers {
			if headers[j].Name == "source" || headers[j].Name == "subject" {
				headers[j].Value = []byte(value)
			}
		}
		for range 3 {
			e, err := d.Decode(append(headers, extension), nil)
			require.NoError(t, err)
			require.Equal(t, value, e.Source())
			require.Equal(t, value, e.Subject())
			got, _ := e.Extension(extension.Name)
			require.Equal(t, value, got)
		}
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // of what pools of other tests hold
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	decode(0)
	before := heap()
	for i := range 5_000 {
		decode(i)
	}
	grown := int64(heap()) - int64(before)
	assert.Less(t, grown, int64(100<<10))
	runtime.KeepAlive(&d)
}
