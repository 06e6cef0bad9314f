// Package cases has the groups of cases that are measured: what Leat does, and what its peers do
// with the same work.
package cases

import "github.com/leatgo/leat/benchmarks/internal/bench"

// All returns every group, in the order of the report.
func All() []bench.Group {
	groups := []bench.Group{prebuilt(), made()}
	groups = append(groups, envelope()...)
	return append(groups, keys(), parked(), sleeping(), bridge())
}
