package nats_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// operator is who says which accounts and users there are. A server in operator mode has no list of
// users: it checks the signatures of their JWTs.
type operator struct {
	t    *testing.T
	pair nkeys.KeyPair
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	require.NoError(t, err)
	public, err = pair.PublicKey()
	require.NoError(t, err)
	return pair, public
}

// account returns an account's key pair, its public key and its JWT.
func (o *operator) account(name string, limits jwt.JetStreamLimits) (pair nkeys.KeyPair, public, token string) {
	o.t.Helper()
	pair, public = newPair(o.t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public)
	claims.Name, claims.Limits.JetStreamLimits = name, limits
	token, err := claims.Encode(o.pair)
	require.NoError(o.t, err)
	return pair, public, token
}

// creds returns the text of a credentials file for a new user of an account.
func creds(t *testing.T, account nkeys.KeyPair) string {
	t.Helper()
	pair, public := newPair(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(public).Encode(account)
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	return string(text)
}

// TestCreds: a JWT and the seed of its nkey log in to a server in operator mode, across a restart,
// and one that another account's key has signed does not.
func TestCreds(t *testing.T) {
	t.Parallel()
	pair, public := newPair(t, nkeys.CreateOperator)
	o := &operator{t, pair}
	_, system, systemToken := o.account("SYS", jwt.JetStreamLimits{})
	account, app, appToken := o.account("APP", jwt.JetStreamLimits{
		MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1,
	})
	claims := jwt.NewOperatorClaims(public)
	claims.Name, claims.SystemAccount = "leat", system
	token, err := claims.Encode(pair)
	require.NoError(t, err)
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: fmt.Sprintf(
		"operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: { %s: %s, %s: %s }",
		token, system, system, systemToken, app, appToken)})
	good := creds(t, account)
	require.NoError(t, try(t, "nats://"+server.Addr()+"?creds_file="+file(t, good)))

	stranger, _ := newPair(t, nkeys.CreateAccount)
	err = try(t, "nats://"+server.Addr()+"?creds_file="+file(t, creds(t, stranger)))
	assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%v", err)

	b := open(t, "nats://"+server.Addr()+"?creds_file="+file(t, good))
	s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: "orders", Group: "g"})
	require.NoError(t, err)
	p := leat.NewProducer(b, nil)
	require.NoError(t, p.Publish(t.Context(), "orders", brokertest.Events(t, 0, 1, 0)...))
	assert.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, p.Publish(t.Context(), "orders", brokertest.Events(t, 1, 2, 0)...))
	assert.Equal(t, []string{"1"}, brokertest.Receive(t, s, 1), "it logs in again")
}

// TestDomain: every request goes to the JetStream of a domain. A server takes its own domain's
// requests with and without the name, so the test looks at what is sent.
func TestDomain(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Domain: "hub"})
	proxy, err := eventtest.StartProxy(server.Addr())
	require.NoError(t, err)
	defer proxy.Close()
	var mu sync.Mutex
	calls := map[string]bool{}
	proxy.Filter(func(d eventtest.Direction, b []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		for word := range strings.FieldsSeq(string(b)) {
			if d == eventtest.ToBroker && strings.HasPrefix(word, "$JS.") && strings.Contains(word, ".API.") {
				calls[word] = true
			}
		}
		return b, nil
	})
	b := open(t, "nats://"+proxy.Addr()+"?domain=hub")
	for _, sub := range []leat.Subscription{
		{Topic: "ordered", Group: "g"}, {Topic: "free", Group: "g", Unordered: true}, {Topic: "all", Broadcast: true},
	} {
		s, err := b.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 1, 0)...))
		assert.Equal(t, []string{"0"}, brokertest.Receive(t, s, 1))
		require.NoError(t, s.Close(t.Context()))
		if !sub.Broadcast {
			lag, err := b.Lag(t.Context(), sub.Topic, sub.Group)
			require.NoError(t, err)
			assert.Zero(t, lag.Events, "the ack has reached the server")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, call := range []string{
		"STREAM.CREATE.ordered", "CONSUMER.MSG.NEXT.ordered.g", "CONSUMER.UNPIN.ordered.g", "CONSUMER.INFO.free.g",
	} {
		assert.Contains(t, calls, "$JS.hub.API."+call)
	}
	for call := range calls {
		assert.True(t, strings.HasPrefix(call, "$JS.hub.API."), call)
	}
	assert.Error(t, try(t, "nats://"+server.Addr()+"?domain=spoke"))
}

// open opens a URL. The end of the test closes the broker.
func open(t *testing.T, raw string) *nats.Broker {
	t.Helper()
	b, err := leat.Openers{"nats": nats.Open}.Open(t.Context(), raw)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	broker, ok := b.(*nats.Broker)
	require.True(t, ok)
	return broker
}
