package memory_test

import (
	"context"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestOpen(t *testing.T) {
	u, err := url.Parse("mem://?buffer=5&buffer_bytes=6&history=2&history_bytes=1000&max_event_bytes=140" +
		"&lease_duration=5s&full_timeout=1ms&provision=create")
	require.NoError(t, err)
	broker, err := memory.Open(t.Context(), u)
	require.NoError(t, err)
	defer func() { require.NoError(t, broker.Close()) }()
	b := broker.(*memory.Broker)
	require.Equal(t, 140, b.Limits().MaxEventBytes)
	publish(t, b, events(t, "k", 4)...)
	declare(t, b, billing)
	requireDepth(t, b, 2, 0)
	requireCode(t, leat.CodeExhausted, outcomes(t.Context(), t, b, "orders", events(t, "k", 1)...)[0])

	other, err := memory.Open(t.Context(), u)
	require.NoError(t, err)
	require.NotSame(t, broker, other, "each is private")
	require.NoError(t, other.Close())
}

func TestOpenRefuses(t *testing.T) {
	const known = "buffer, buffer_bytes, full_timeout, history, history_bytes, lease_duration, max_event_bytes, no_history, provision"
	for raw, wants := range map[string][]string{
		"mem://?bufer=5":               {"number 1 is unknown", "did you mean buffer?", known},
		"mem://?buffer=0":              {"buffer", "a number from 1"},
		"mem://?buffer=x":              {"buffer", "a number from 1"},
		"mem://?lease_duration=10":     {"lease_duration", "duration"},
		"mem://?full_timeout=-1s":      {"full_timeout", "duration"},
		"mem://?history=0":             {"history", "a number from 1"},
		"mem://?history=1&no_history":  {"contradict"},
		"mem://?bufferbytes=1":         {"parameter bufferbytes is now called buffer_bytes"},
		"mem://?lease=1s":              {"parameter lease is now called lease_duration"},
		"mem://?history=-1":            {"history", "a number from 1"},
		"mem://?provision=maybe":       {"provision", "create, strict, verify, off"},
		"mem://?buffer=1&buffer=2":     {"buffer", "2 times"},
		"mem://?a=%zz":                 {"cannot be parsed"},
		"mem://name":                   {"private"},
		"mem:///path":                  {"private"},
		"mem://user:secret@?history=1": {"private"},
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err, raw)
		_, err = memory.Open(t.Context(), u)
		requireCode(t, leat.CodeInvalid, err)
		for _, want := range wants {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := memory.Open(t.Context(), nil)
	requireCode(t, leat.CodeInvalid, err)
}

func TestOpenWithoutHistory(t *testing.T) {
	broker, err := memory.Open(t.Context(), &url.URL{Scheme: "mem", RawQuery: "no_history=true&provision=create"})
	require.NoError(t, err)
	b := broker.(*memory.Broker)
	publish(t, b, events(t, "k", 4)...)
	declare(t, b, billing)
	requireDepth(t, b, 0, 0)
	require.NoError(t, b.Close())
}

// TestWrongOptionsAreReported: New has no error, so every call has it, and none takes a default
// instead.
func TestWrongOptionsAreReported(t *testing.T) {
	for field, o := range map[string]memory.Options{
		"Buffer": {Buffer: -1}, "BufferBytes": {BufferBytes: -1}, "History": {History: -1}, "HistoryBytes": {HistoryBytes: -1},
		"MaxEventBytes": {MaxEventBytes: -1}, "LeaseDuration": {LeaseDuration: -1}, "FullTimeout": {FullTimeout: -1},
		"Provision": {Provision: 7}, "NoHistory": {NoHistory: true, History: 5},
	} {
		b := memory.New(&o)
		_, err := b.Subscribe(t.Context(), billing)
		published := outcomes(t.Context(), t, b, "orders", events(t, "k", 1)...)[0]
		for _, err := range []error{b.Health(), b.Declare(t.Context(), billing), err, published} {
			requireCode(t, leat.CodeInvalid, err)
			require.ErrorContains(t, err, "Options."+field)
		}
		c := leat.NewConsumer(b, billing, leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }), nil)
		requireCode(t, leat.CodeInvalid, leat.Run(t.Context(), c))
		require.NoError(t, b.Close())
	}
}
