package main

import (
	"testing"

	"github.com/leatgo/leat/examples/internal/canary"
	"github.com/stretchr/testify/require"
)

// TestNothingOfAnOrderLeaksOut looks for it in spans, metrics and logs.
func TestNothingOfAnOrderLeaksOut(t *testing.T) {
	a, _ := testApp(t)
	placed, err := OrderPlaced.New(Order{ID: canary.Private, Cents: 1250})
	require.NoError(t, err)
	refused, err := OrderPlaced.New(Order{ID: canary.Private, Cents: -1})
	require.NoError(t, err)
	canary.Check(t, subscriptions["billing"], a.handler("billing"), canary.Private, placed, refused)
	paid, err := OrderPaid.New(Payment{Order: canary.Private, Cents: 1250})
	require.NoError(t, err)
	canary.Check(t, subscriptions["shipping"], a.handler("shipping"), canary.Private, paid)
}
