package telemetry_test

import (
	"os"
	"strings"
	"testing"

	"github.com/leatgo/leat/internal/telemetry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheDocumentationHasEveryInstrument in a row of a table, and no other.
func TestTheDocumentationHasEveryInstrument(t *testing.T) {
	text, err := os.ReadFile("../../docs/monitoring.md")
	require.NoError(t, err)
	documented := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if name, isRow := strings.CutPrefix(line, "| `"); isRow {
			name, _, _ = strings.Cut(name, "`")
			documented[name] = !strings.Contains(name, "/") // modules have a table too
		}
	}
	names := map[string]bool{}
	for place, in := range telemetry.Table() {
		assert.NotEmpty(t, in.Name, "place %d", place)
		assert.NotEmpty(t, in.Unit, in.Name)
		assert.NotEmpty(t, in.Description, in.Name)
		assert.LessOrEqual(t, len(in.Labels), len(telemetry.Labels{}), in.Name)
		assert.Equal(t, in.Kind == telemetry.Histogram, len(in.Buckets) > 0, in.Name)
		assert.LessOrEqual(t, len(in.Buckets), telemetry.MostBounds, in.Name)
		assert.False(t, names[in.Name], "%s is there twice", in.Name)
		assert.True(t, documented[in.Name], "%s is not documented", in.Name)
		names[in.Name] = true
	}
	for name, isMetric := range documented {
		assert.True(t, !isMetric || names[name], "%s is documented, and not there", name)
	}
}
