package memory_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestOpen(t *testing.T) {
	u, err := url.Parse("mem://?buffer=5&bufferbytes=6&history=2&historybytes=1000&maxeventbytes=140" +
		"&lease=5s&fulltimeout=1ms&provision=create")
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
	const known = "buffer, bufferbytes, fulltimeout, history, historybytes, lease, maxeventbytes, provision"
	for raw, wants := range map[string][]string{
		"mem://?bufer=5":               {`"bufer"`, known},
		"mem://?buffer=0":              {"buffer", "a number from 1"},
		"mem://?buffer=x":              {"buffer", "a number from 1"},
		"mem://?lease=10":              {"lease", "duration"},
		"mem://?fulltimeout=-1s":       {"fulltimeout", "duration"},
		"mem://?history=-1":            {"history", "a number from 0"},
		"mem://?provision=maybe":       {"provision", "create, verify, off"},
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
	broker, err := memory.Open(t.Context(), &url.URL{Scheme: "mem", RawQuery: "history=0&provision=create"})
	require.NoError(t, err)
	b := broker.(*memory.Broker)
	publish(t, b, events(t, "k", 4)...)
	declare(t, b, billing)
	requireDepth(t, b, 0, 0)
	require.NoError(t, b.Close())
}
