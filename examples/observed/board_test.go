package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// announced passes on the address that the program prints.
type announced struct {
	address chan string
	all     bytes.Buffer
}

var metricsURL = regexp.MustCompile(`http://([^/]+)/metrics`)

func (a *announced) Write(p []byte) (int, error) {
	if found := metricsURL.FindSubmatch(p); found != nil {
		a.address <- string(found[1])
	}
	return a.all.Write(p)
}

// start runs the program until the test ends, and returns its address.
func start(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &announced{address: make(chan string, 1)}
	result := make(chan error, 1)
	go func() {
		result <- run(ctx, config{broker: "mem://", listen: "127.0.0.1:0", traces: "none", rate: 200}, out, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-result)
		assert.Contains(t, out.all.String(), "leat_consumer_poisoned_total")
	})
	return <-out.address
}

// get returns the body of a page.
func get(t *testing.T, page string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return body
}

// board is what the test reads of docs/grafana/leat.json.
type board struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// TestTheBoardAndTheAlerts asks a real Prometheus every question of the board, and lets it evaluate
// the alert rules.
func TestTheBoardAndTheAlerts(t *testing.T) {
	const folder = "../../docs/grafana/"
	address := start(t)
	prometheus := brokertest.StartPrometheus(t, address, folder+"alerts.yml")
	text, err := os.ReadFile(folder + "leat.json")
	require.NoError(t, err)
	var b board
	require.NoError(t, json.Unmarshal(text, &b))
	variables := strings.NewReplacer("$topic", ".*", "$group", ".*", "$__rate_interval", "2s")
	asked := 0
	for _, panel := range b.Panels {
		for _, target := range panel.Targets {
			asked++
			require.Eventually(t, func() bool { return series(t, prometheus, variables.Replace(target.Expr)) > 0 },
				30*time.Second, 200*time.Millisecond, "%s: %s has no series", panel.Title, target.Expr)
		}
	}
	assert.Greater(t, asked, 15)
	require.Eventually(t, func() bool { return rules(t, prometheus) == 6 }, 30*time.Second, 200*time.Millisecond)
}

// series returns how many series a query has.
func series(t *testing.T, prometheus, query string) int {
	t.Helper()
	var answer struct {
		Data struct{ Result []json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(get(t, prometheus+"/api/v1/query?query="+url.QueryEscape(query)), &answer))
	return len(answer.Data.Result)
}

// rules returns how many alert rules were evaluated without an error.
func rules(t *testing.T, prometheus string) (well int) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(get(t, prometheus+"/api/v1/rules"), &answer))
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			require.Empty(t, r.LastError, r.Name)
			if r.Health == "ok" {
				well++
			}
		}
	}
	return well
}

// TestHealthIsServed: an orchestrator finds the two pages beside the metrics.
func TestHealthIsServed(t *testing.T) {
	address := start(t)
	require.Eventually(t, func() bool { return strings.Contains(string(get(t, "http://"+address+"/livez")), `"state": "healthy"`) },
		10*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return strings.Contains(string(get(t, "http://"+address+"/metrics")), "leat_poison_reason") },
		10*time.Second, 20*time.Millisecond)
}
