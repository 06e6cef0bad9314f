package memory_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
)

func TestOptionsOfAURLCanBeChanged(t *testing.T) {
	o, err := memory.OptionsFromURL(&url.URL{Scheme: "mem", RawQuery: "buffer=7"})
	require.NoError(t, err)
	assert.Equal(t, 7, o.Buffer)
	_, err = memory.OptionsFromURL(&url.URL{Scheme: "mem", RawQuery: "bufer=7"})
	require.ErrorContains(t, err, "parameter number 1 is unknown (did you mean buffer?)")

	openers := leat.Openers{"mem": memory.OpenWith(func(o *memory.Options) { o.MaxEventBytes = o.Buffer })}
	broker, err := openers.Open(t.Context(), "mem://?buffer=700")
	require.NoError(t, err)
	assert.Equal(t, 700, broker.Limits().MaxEventBytes)
	require.NoError(t, broker.Close())

	openers["mem"] = memory.OpenWith(func(o *memory.Options) { o.Buffer = -1 })
	_, err = openers.Open(t.Context(), "mem://")
	require.ErrorContains(t, err, "Options.Buffer")
}
