package kafka_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
)

func TestOptionsOfAURLCanBeChanged(t *testing.T) {
	u := &url.URL{Scheme: "kafka", Host: "localhost", RawQuery: "client_id=billing"}
	o, err := kafka.OptionsFromURL(u)
	require.NoError(t, err)
	assert.Equal(t, "billing", o.ClientID)

	u.RawQuery = "client=billing"
	_, err = kafka.OptionsFromURL(u)
	require.ErrorContains(t, err, "leat: open: invalid: parameter number 1 is unknown")
	_, err = kafka.OptionsFromURL(nil)
	require.ErrorContains(t, err, "no URL")

	openers := leat.Openers{"kafka": kafka.OpenWith(func(o *kafka.Options) { o.ClientID, o.Buffer = o.ClientID+"-2", -1 })}
	_, err = openers.Open(t.Context(), "kafka://localhost?client_id=billing")
	require.ErrorContains(t, err, "Options.Buffer", "what New refuses is named as a field: no parameter set it")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))

	openers["kafka"] = kafka.OpenWith(nil)
	broker, err := openers.Open(t.Context(), "kafka://localhost?client_id=billing")
	require.NoError(t, err)
	require.NoError(t, broker.Close())
}
