package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSteps: every step does the same work, each order charged and shipped, and failures tried
// again.
func TestSteps(t *testing.T) {
	for _, step := range steps() {
		t.Run(step.name, func(t *testing.T) {
			s := newShop(20)
			require.NoError(t, step.run(t.Context(), s))
			assert.Len(t, s.shipped, 20)
			for _, o := range s.orders {
				assert.Equal(t, 1, s.charged[o.ID], "charged %s", o.ID)
				assert.Equal(t, 1, s.shipped[o.ID], "shipped %s", o.ID)
			}
			for i, n := range s.tries {
				assert.LessOrEqual(t, n, 2, i)
			}
		})
	}
}

func Example_main() {
	main()
	// Output:
	// before: 20 orders, 20 charged in 24 attempts, 20 shipped
	// step 1: 20 orders, 20 charged in 24 attempts, 20 shipped
	// step 2: 20 orders, 20 charged in 24 attempts, 20 shipped
	// step 3: 20 orders, 20 charged in 24 attempts, 20 shipped
}
