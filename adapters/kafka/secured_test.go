package kafka_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	securedUser     = "ann"
	securedPassword = "Sesame-8471"
	reauthAfter     = 3 * time.Second // the OAUTH and ROTATED listeners end sessions that are older
)

// secured is a Kafka with every kind of listener and with an authorizer, and what clients of it
// need.
type secured struct {
	cluster *brokertest.KafkaCluster
	certs   *brokertest.Certs
	admin   *kadm.Client     // may do everything
	rotated *eventtest.Proxy // before the listener ROTATED
	dir     string
}

func newSecured(t *testing.T) *secured {
	t.Helper()
	s := &secured{certs: brokertest.NewCerts(t), rotated: newProxy(t), dir: t.TempDir()}
	listener := func(name, property string) string { return "listener.name." + name + "." + property }
	const bearer = "org.apache.kafka.common.security.oauthbearer."
	s.cluster = brokertest.StartKafka(t, &brokertest.KafkaOptions{
		Listeners: []brokertest.KafkaListener{
			{Name: "OPEN", Protocol: "SASL_PLAINTEXT"},
			{Name: "LOGIN", Protocol: "SASL_SSL"},
			{Name: "ROTATED", Protocol: "SASL_SSL", Advertised: []string{s.rotated.Addr()}},
			{Name: "OAUTH", Protocol: "SASL_SSL"},
			{Name: "TLS", Protocol: "SSL"},
			{Name: "MUTUAL", Protocol: "SSL", ClientCert: true},
		},
		Users: map[string]string{securedUser: securedPassword, "bob": "bob-secret", "carl": "carl-secret"},
		Certs: s.certs, Authorize: true,
		Properties: map[string]string{
			// The names of principals: of SASL the user, of TLS the certificate's subject, without
			// one ANONYMOUS.
			"super.users": "User:ANONYMOUS;User:" + securedUser + ";User:oscar;User:CN=client",
			listener("oauth", "sasl.enabled.mechanisms"): kafka.OAuthBearer,
			listener("oauth", "oauthbearer.sasl.jaas.config"): bearer +
				`OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
			listener("oauth", "oauthbearer.connections.max.reauth.ms"): "3000",
			listener("oauth", "oauthbearer.sasl.server.callback.handler.class"): bearer +
				"internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler",
		},
	})
	s.rotated.Point(s.cluster.ListenerAddrs("ROTATED")[0])
	s.admin = liveAdmin(t, s.cluster.Addrs()...)
	return s
}

func (s *secured) addr(listener string) string { return s.cluster.ListenerAddrs(listener)[0] }

// file writes a file and returns its name.
func (s *secured) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path)) // so that nobody reads a half
	return path
}

func (s *secured) copyFile(t testing.TB, name, from string) string {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	return s.file(t, name, string(text))
}

// token returns an unsigned token, which Kafka takes when it is told to.
func token(t testing.TB, subject string, lifetime time.Duration) string {
	t.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"sub": subject, "iat": now.Add(-time.Second).Unix(), "exp": now.Add(lifetime).Unix(),
	})
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims) + "."
}
