package gcppubsub_test

import (
	"context"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
)

// slowTokens is credentials whose tokens come when the test sends them.
type slowTokens struct{ asked, give chan struct{} }

func (c *slowTokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	c.asked <- struct{}{}
	select {
	case <-c.give:
		return map[string]string{"authorization": "Bearer x"}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (*slowTokens) RequireTransportSecurity() bool { return false }

func slow(t *testing.T, f *fake, o gcppubsub.Options) (*slowTokens, *gcppubsub.Broker) {
	t.Helper()
	require.NoError(t, on(t, f, gcppubsub.Options{}).Declare(t.Context(), billing()))
	c := &slowTokens{make(chan struct{}, 100), make(chan struct{}, 100)}
	o.ClientOptions = []option.ClientOption{option.WithGRPCDialOption(grpc.WithPerRPCCredentials(c))}
	return c, on(t, f, o)
}

// TestWithdrawnWhileItWaitsForAToken: nothing has left, so the outcome is known, and the event is
// not sent when the token comes. An event of the same request that was not withdrawn is.
func TestWithdrawnWhileItWaitsForAToken(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c, b := slow(t, f, gcppubsub.Options{})
	p := publish(t, b, 3)
	<-c.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	event := func(id string) leat.Event {
		e, err := leat.NewEvent("order.placed", &leat.EventOptions{Source: "/o", ID: id, Key: "k"})
		require.NoError(t, err)
		return e
	}
	b.Withdraw(ctx, "orders", []leat.Event{event("e1")})
	c.give <- struct{}{}
	p.all.Wait()
	require.NoError(t, p.errs[0])
	assert.Equal(t, leat.CodeCanceled, leat.CodeOf(p.errs[1]), "%v", p.errs[1])
	require.NoError(t, p.errs[2])
	assert.Equal(t, "e0 e2", stored(f))

	p = publish(t, b, 2)
	<-c.asked
	b.Withdraw(ctx, "orders", []leat.Event{event("e0"), event("e1")})
	p.all.Wait()
	c.give <- struct{}{}
	for _, err := range p.errs {
		assert.Equal(t, leat.CodeCanceled, leat.CodeOf(err), "%v", err)
	}
	go func() {
		<-c.asked
		c.give <- struct{}{}
	}()
	p = publish(t, b, 1)
	p.all.Wait()
	require.NoError(t, p.errs[0], "the lane goes on")
	assert.Equal(t, "e0 e2 e0", stored(f))
	require.NoError(t, b.Health())
}

// TestNoTokenInTime: the deadline of an event that waits for a token refuses it.
func TestNoTokenInTime(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c, b := slow(t, f, gcppubsub.Options{DeliveryTimeout: time.Second})
	p := publish(t, b, 1)
	<-c.asked
	p.all.Wait()
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(p.errs[0]), "%v", p.errs[0])
	assert.Empty(t, stored(f))
}

// TestCloseWhileItWaitsForAToken: Close refuses an event that waits for a token.
func TestCloseWhileItWaitsForAToken(t *testing.T) {
	t.Parallel()
	f := startFake(t)
	c, b := slow(t, f, gcppubsub.Options{CloseTimeout: time.Second})
	p := publish(t, b, 1)
	<-c.asked
	require.NoError(t, b.Close())
	p.all.Wait()
	assert.Equal(t, leat.CodeClosed, leat.CodeOf(p.errs[0]), "%v", p.errs[0])
	assert.Empty(t, stored(f))
}
