package interop_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	brokertest.MainChecked(m, func() error {
		http.DefaultClient.CloseIdleConnections()
		return goleak.Find()
	})
}

// registry is one with Confluent's API.
type registry struct {
	*confluent.Registry

	url string
}

func open(t testing.TB, url string, o confluent.Options) registry {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o.URLs, o.Client = []string{url}, &http.Client{Transport: transport}
	r, err := confluent.New(&o)
	require.NoError(t, err)
	return registry{r, url}
}

// shared is the Apicurio of all tests.
func shared(t testing.TB) registry {
	t.Helper()
	return open(t, brokertest.Apicurio(t), confluent.Options{})
}

// setLevel sets the level of a subject, which need not exist.
func (r registry) setLevel(t testing.TB, subject string, level schema.Level) {
	t.Helper()
	body := strings.NewReader(`{"compatibility":"` + string(level) + `"}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/config/"+subject, body)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
}

func (r registry) register(t testing.TB, subject string, d schema.Definition) *schema.Schema {
	t.Helper()
	s, err := r.Register(context.WithoutCancel(t.Context()), subject, d)
	require.NoError(t, err)
	return s
}

func hasCode(t *testing.T, err error, code leat.Code, parts ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, leat.CodeOf(err), "%v", err)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
}
