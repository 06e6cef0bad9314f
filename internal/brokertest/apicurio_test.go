package brokertest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

// askRegistry sends a request to a registry, and returns the body of its answer.
func askRegistry(t *testing.T, method, url, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
	return string(text)
}

func TestApicurioKeepsItsSchemas(t *testing.T) {
	t.Parallel()
	s := brokertest.StartApicurio(t)
	askRegistry(t, http.MethodPost, s.URL()+"/subjects/a/versions", `{"schemaType":"JSON","schema":"{\"type\":\"object\",\"properties\":{}}"}`)
	s.Kill()
	require.NoError(t, s.Start(t.Context()))
	assert.JSONEq(t, `["a"]`, askRegistry(t, http.MethodGet, s.URL()+"/subjects", ""))
	require.NoError(t, s.Restart(t.Context()))
	assert.JSONEq(t, `["a"]`, askRegistry(t, http.MethodGet, s.URL()+"/subjects", ""))
}
