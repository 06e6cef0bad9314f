package kafka

import (
	"context"
	"fmt"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestPasswordsGoToThisMachineOnly: a broker that the cluster advertises, and that is not named in
// the options, is held to the same rule.
func TestPasswordsGoToThisMachineOnly(t *testing.T) {
	t.Parallel()
	login := func(context.Context) (string, string, error) { return "ann", "Sesame-8471", nil }
	bearer := func(context.Context) (string, error) { return "Sesame-8471", nil }
	for mechanism, shows := range map[string]bool{Plain: true, OAuthBearer: true, ScramSHA256: false, ScramSHA512: false} {
		sasl := &SASL{Mechanism: mechanism, Credentials: login, Token: bearer}
		both, err := New(&Options{Hosts: []string{"127.0.0.1", "h:1"}, SASL: sasl})
		assert.Equal(t, shows, leat.CodeOf(err) == leat.CodeInvalid, "%s: %v", mechanism, err)
		if err == nil {
			require.NoError(t, both.Close())
		}
		for _, allowed := range []bool{false, true} {
			b, err := New(&Options{Hosts: []string{"localhost", "[::1]:1"}, SASL: sasl, AllowPlaintext: allowed})
			require.NoError(t, err)
			for address, here := range map[string]bool{
				"127.0.0.1:9092": true, "localhost:1": true, "[::1]:1": true, "10.0.0.1:9092": false, "h:1": false,
			} {
				_, _, err := b.o.SASL.mechanism(b.o.maySend).Authenticate(t.Context(), address)
				if here || allowed || !shows {
					assert.NoError(t, err, "%s to %s", mechanism, address)
					continue
				}
				require.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err), "%s to %s", mechanism, address)
				assert.ErrorContains(t, err, "set TLS, or AllowPlaintext")
				assert.NotContains(t, err.Error(), "Sesame")
			}
			require.NoError(t, b.Close())
		}
	}
}

// TestRefusedLoginsNameNobody: what a broker says about a login may have the user or a piece of a
// token in it.
func TestRefusedLoginsNameNobody(t *testing.T) {
	t.Parallel()
	said := fmt.Errorf("unable to initialize sasl: %w: Authentication failed for user zq7xjw", kerr.SaslAuthenticationFailed)
	conns := &connections{}
	conns.failed("", said)
	for _, err := range []error{
		fail(t.Context(), "declare", "t", said), conns.health("t"), unhealthy("t", leat.CodeUnauthenticated, conns.wrong.Since, said),
	} {
		assert.NotContains(t, err.Error(), "zq7xjw")
		require.ErrorIs(t, err, kerr.SaslAuthenticationFailed)
		assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(err))
	}
	for challenge, want := range map[string]string{
		`{"status":"invalid_token"}`: "invalid_token", `{"status":"zq7xjw.token"}`: "no", `zq7xjw`: "no", `{"status":""}`: "no",
		`{"status":"invalid_token","scope":"zq7xjw"}`: "invalid_token",
	} {
		assert.Equal(t, want, tokenStatus([]byte(challenge)))
	}
}
