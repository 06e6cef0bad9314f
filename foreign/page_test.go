package foreign_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/leatgo/leat/internal/foreigncases"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPage checks the table of docs/foreign-events.md. With LEAT_UPDATE_DOCS=1 it writes it.
func TestPage(t *testing.T) {
	t.Parallel()
	const page, begin, end = "../docs/foreign-events.md", "<!-- producers: begin -->\n", "<!-- producers: end -->\n"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "the page has no line %q", begin)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "the page has no line %q", end)
	want := before + begin + producersTable(t) + end + after
	if os.Getenv("LEAT_UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o600))
		return
	}
	assert.Equal(t, want, string(text), "run LEAT_UPDATE_DOCS=1 go test -run TestPage ./foreign")
}

// producersTable is made of what the readers do, not of what the cases expect.
func producersTable(t *testing.T) string {
	t.Helper()
	var rows strings.Builder
	count := map[foreigncases.Outcome]int{}
	for _, c := range foreigncases.All(t) {
		got, repaired, _ := outcome(t, c)
		count[got]++
		if repaired != "" {
			repaired = "`" + repaired + "`"
		}
		row := []string{c.Producer, c.Transport, c.Shape, string(got), repaired}
		for i := range row {
			row[i] = strings.ReplaceAll(row[i], "|", `\|`)
		}
		rows.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	refused := count[foreigncases.Lenient] + count[foreigncases.Refuses]
	return fmt.Sprintf("\nOf %d messages, %d are read without a mapping. Of the other %d, Lenient reads %d.\n\n",
		count[foreigncases.Reads]+refused, count[foreigncases.Reads], refused, count[foreigncases.Lenient]) +
		"| producer | transport | what it writes | Leat | `leatrepaired` |\n|---|---|---|---|---|\n" + rows.String() + "\n"
}
