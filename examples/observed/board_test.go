package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// announced passes on the address that the program prints.
type announced struct {
	address chan string

	mu  sync.Mutex // spans are written by a goroutine of their own
	all bytes.Buffer
}

var metricsURL = regexp.MustCompile(`http://([^/]+)/metrics`)

func (a *announced) Write(p []byte) (int, error) {
	if found := metricsURL.FindSubmatch(p); found != nil {
		a.address <- string(found[1])
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all.Write(p)
}

// start runs the program until the test ends, and returns its address.
func start(t *testing.T) string {
	t.Helper()
	address, _ := startWith(t, "none", slog.New(slog.DiscardHandler))
	return address
}

// startWith returns what the program prints as well, which may be read when stop has returned.
func startWith(t *testing.T, traces string, logger *slog.Logger) (address string, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out := &announced{address: make(chan string, 1)}
	result := make(chan error, 1)
	go func() {
		result <- run(ctx, config{broker: "mem://", listen: "127.0.0.1:0", traces: traces, rate: 200, sampled: 1}, out, logger)
	}()
	stop = sync.OnceValue(func() string {
		cancel()
		require.NoError(t, <-result)
		return out.all.String()
	})
	t.Cleanup(func() {
		if summary := stop(); !t.Skipped() { // which comes before anything is counted
			assert.Contains(t, summary, "leat_consumer_poisoned_total")
		}
	})
	return <-out.address, stop
}

// get returns the body of a page.
func get(t *testing.T, page string) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, errors.Join(err, response.Body.Close()))
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return body
}

const boardFolder = "../../docs/grafana/"

// board is what the tests read of docs/grafana/leat.json.
type board struct {
	Panels []panel `json:"panels"`
}

type panel struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct {
		X int `json:"x"`
		Y int `json:"y"`
		W int `json:"w"`
		H int `json:"h"`
	} `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []target `json:"targets"`
}

type target struct {
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
}

func readBoard(t *testing.T) (b board) {
	t.Helper()
	text, err := os.ReadFile(boardFolder + "leat.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &b))
	return b
}

// ask returns a query of the board with all topics and groups.
func ask(expr string) string {
	return strings.NewReplacer("$topic", ".*", "$group", ".*", "$__rate_interval", "5s").Replace(expr)
}

// TestTheBoardAndTheAlerts asks a real Prometheus every question of the board, and lets it evaluate
// the alert rules.
func TestTheBoardAndTheAlerts(t *testing.T) {
	prometheus := brokertest.StartPrometheus(t, start(t), boardFolder+"alerts.yml")
	asked := 0
	for _, panel := range readBoard(t).Panels {
		for _, target := range panel.Targets {
			asked++
			require.Eventually(t, func() bool { return series(t, prometheus, ask(target.Expr)) > 0 },
				30*time.Second, 200*time.Millisecond, "%s: %s has no series", panel.Title, target.Expr)
		}
	}
	assert.Greater(t, asked, 15)
	require.Eventually(t, func() bool { return rules(t, prometheus) == 6 }, 30*time.Second, 200*time.Millisecond)
}

// answer is what the tests read of Prometheus's answers to queries and about rules.
type answer struct {
	Data struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Values [][2]any          `json:"values"`
		} `json:"result"`
		Groups []struct {
			Rules []struct {
				Name      string `json:"name"`
				Health    string `json:"health"`
				LastError string `json:"lastError"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"data"`
}

// tell asks Prometheus.
func tell(t *testing.T, page string) (a answer) {
	t.Helper()
	require.NoError(t, json.Unmarshal(get(t, page), &a))
	return a
}

// series returns how many series a query has.
func series(t *testing.T, prometheus, query string) int {
	t.Helper()
	return len(tell(t, prometheus+"/api/v1/query?query="+url.QueryEscape(query)).Data.Result)
}

// rules returns how many alert rules were evaluated without an error.
func rules(t *testing.T, prometheus string) (well int) {
	t.Helper()
	for _, g := range tell(t, prometheus+"/api/v1/rules").Data.Groups {
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
	require.Eventually(t, func() bool {
		return strings.Contains(string(get(t, "http://"+address+"/metrics")), "leat_poison_reason")
	},
		10*time.Second, 20*time.Millisecond)
}

// TestNothingOfADeliveryLeaksOut: what stands in the bodies of most deliveries is in no metric,
// span or line of the log.
func TestNothingOfADeliveryLeaksOut(t *testing.T) {
	const inBodies = "Codertocat"
	var log bytes.Buffer
	address, stop := startWith(t, "stdout", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	metrics := func() string { return string(get(t, "http://"+address+"/metrics")) }
	require.Eventually(t, func() bool { return strings.Contains(metrics(), "leat_poison_reason") }, 10*time.Second, 20*time.Millisecond)
	seen := metrics()
	spans := stop()
	assert.Contains(t, spans, `"Name": "process webhooks"`)
	assert.Contains(t, log.String(), "poison queue")
	for _, text := range []string{seen, spans, log.String()} {
		assert.NotContains(t, text, inBodies)
	}
}
