package kafka_test

import (
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/require"
)

// newProxy returns a proxy that leads nowhere yet. The end of the test closes it.
func newProxy(t testing.TB) *eventtest.Proxy {
	t.Helper()
	p, err := eventtest.StartProxy("")
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// down refuses connections, and cuts those that there are.
func down(p *eventtest.Proxy) {
	p.Refuse()
	p.Cut()
}
