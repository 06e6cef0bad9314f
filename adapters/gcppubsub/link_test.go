package gcppubsub_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// TestClientOptionsDoNotReplaceConnections: the adapter makes connections of its own, and watches
// each.
func TestClientOptionsDoNotReplaceConnections(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	proxy, err := eventtest.StartProxy(f.Addr())
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	o := &gcppubsub.Options{
		Project: project, Endpoint: "http://" + proxy.Addr(), ClientOptions: []option.ClientOption{
			option.WithGRPCConnectionPool(8), option.WithEndpoint("127.0.0.1:1"),
		},
	}
	b, err := gcppubsub.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	require.NoError(t, b.Declare(t.Context(), billing()))
	for range 8 {
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "orders", event(t, &leat.EventOptions{})))
	}
	assert.Equal(t, 2, proxy.Dials(), "one to publish, and one for calls about subscriptions")

	conn, err := grpc.NewClient(proxy.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close(), "it is the application's") })
	o.ClientOptions = []option.ClientOption{option.WithGRPCConn(conn)}
	_, err = gcppubsub.New(o)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	require.ErrorContains(t, err, "WithGRPCConn")
}
