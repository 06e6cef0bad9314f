package telemetry_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lateGroups has the metrics of two groups that are late, of which one is on a broker that tells no
// age of the lag, and of one that is not late.
const lateGroups = `
rule_files: [alerts.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: leat_consumer_lag_age_seconds{GROUP="on-nats", job="a"}
        values: 600x30
      - series: leat_event_age_seconds_bucket{GROUP="on-nats", job="a", le="60"}
        values: 0+0x30
      - series: leat_event_age_seconds_bucket{GROUP="on-kafka", job="a", le="300"}
        values: 0+0x30
      - series: leat_event_age_seconds_bucket{GROUP="on-kafka", job="a", le="900"}
        values: 0+100x30
      - series: leat_event_age_seconds_bucket{GROUP="on-kafka", job="a", le="+Inf"}
        values: 0+100x30
      - series: leat_event_age_seconds_bucket{GROUP="in-time", job="a", le="0.1"}
        values: 0+100x30
      - series: leat_event_age_seconds_bucket{GROUP="in-time", job="a", le="+Inf"}
        values: 0+100x30
    promql_expr_test:
      - expr: sum by (messaging_consumer_group_name) (ALERTS{alertname="LeatConsumerLate", alertstate="firing"})
        eval_time: 20m
        exp_samples:
          - {labels: '{messaging_consumer_group_name="on-kafka"}', value: 1}
          - {labels: '{messaging_consumer_group_name="on-nats"}', value: 1}
`

// TestALateGroupAlertsOnEveryBroker, also on those that tell no age of the lag.
func TestALateGroupAlertsOnEveryBroker(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("Prometheus is not installed; run: apt-get install -y --no-install-recommends prometheus")
	}
	folder := t.TempDir()
	rules, err := os.ReadFile("../../docs/grafana/alerts.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "alerts.yml"), rules, 0o600))
	text := strings.ReplaceAll(lateGroups, "GROUP", `messaging_destination_name="orders", messaging_consumer_group_name`)
	test := filepath.Join(folder, "late.yml")
	require.NoError(t, os.WriteFile(test, []byte(text), 0o600))
	out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", test).CombinedOutput()
	assert.NoError(t, err, string(out))
}
