package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/examples/internal/canary"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inBodies stands in the data of many deliveries.
const inBodies = "Codertocat"

// TestNothingOfADeliveryLeaksOut looks for it in spans, metrics and logs of each service.
func TestNothingOfADeliveryLeaksOut(t *testing.T) {
	deliveries, err := loadDeliveries(embeddedFiles(t))
	require.NoError(t, err)
	var events []leat.Event
	for _, d := range deliveries {
		if e, err := d.toEvent(); err == nil && bytes.Contains(e.Data(), []byte(inBodies)) {
			events = append(events, e)
		}
	}
	require.Greater(t, len(events), 30)
	for _, name := range serviceNames() {
		t.Run(name, func(t *testing.T) {
			canary.Check(t, leat.Subscription{Topic: "webhooks", Group: name}, newService(name, "webhooks", io.Discard), inBodies, events...)
		})
	}
}

// TestTheLogHasNoBody: -verbose logs every attempt.
func TestTheLogHasNoBody(t *testing.T) {
	var log bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), []string{"-verbose", "-ledger", t.TempDir()}, io.Discard, &log))
	assert.Contains(t, log.String(), "poison queue")
	assert.NotContains(t, log.String(), `"login"`)
	assert.NotContains(t, log.String(), `login\"`)
}
