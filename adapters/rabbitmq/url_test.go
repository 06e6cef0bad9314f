package rabbitmq_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/rabbitmq"
)

func TestOptionsOfAURLCanBeChanged(t *testing.T) {
	u := &url.URL{Scheme: "amqp", Host: "localhost", RawQuery: "client_id=billing"}
	o, err := rabbitmq.OptionsFromURL(u)
	require.NoError(t, err)
	assert.Equal(t, "billing", o.ClientID)

	u.RawQuery = "client=billing"
	_, err = rabbitmq.OptionsFromURL(u)
	require.ErrorContains(t, err, "leat: open: invalid: parameter number 1 is unknown")
	_, err = rabbitmq.OptionsFromURL(nil)
	require.ErrorContains(t, err, "no URL")

	openers := leat.Openers{"amqp": rabbitmq.OpenWith(func(o *rabbitmq.Options) { o.ClientID, o.Buffer = o.ClientID+"-2", -1 })}
	_, err = openers.Open(t.Context(), "amqp://localhost?client_id=billing")
	require.ErrorContains(t, err, "Options.Buffer", "what New refuses is named as a field: no parameter set it")
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))

	openers["amqp"] = rabbitmq.OpenWith(nil)
	broker, err := openers.Open(t.Context(), "amqp://localhost?client_id=billing")
	require.NoError(t, err)
	require.NoError(t, broker.Close())
}
