package foreign_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/foreigncases"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// outcome reads a case without and with Lenient.
func outcome(t testing.TB, c foreigncases.Case) (o foreigncases.Outcome, repaired string, reason error) {
	t.Helper()
	_, err := strict(c.Message(nil))
	if err == nil {
		return foreigncases.Reads, "", nil
	}
	e, reason := foreign.Lenient(nil)(c.Message(err))
	if reason != nil {
		require.ErrorIs(t, reason, err, "the original reason stays")
		return foreigncases.Refuses, "", reason
	}
	require.NoError(t, e.Validate())
	return foreigncases.Lenient, leatRepaired(e), nil
}

func leatRepaired(e leat.Event) string {
	value, _ := e.Extension("leatrepaired")
	text, _ := value.(string)
	return text
}

// TestProducers has what each producer writes: what is read, and that what is repaired says so.
func TestProducers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range foreigncases.All(t) {
		assert.False(t, seen[c.String()], "two cases have the name %s", c)
		seen[c.String()] = true
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			got, repaired, reason := outcome(t, c)
			assert.Equal(t, c.Want, got, "%v", reason)
			if got == foreigncases.Lenient {
				assert.NotEmpty(t, repaired)
			}
		})
	}
}
