package rabbitmq_test

import (
	"os"
	"slices"
	"testing"

	"github.com/leatgo/leat/eventtest"
)

// TestRabbitMQConformsUnordered runs the suite on Unordered subscriptions: with LEAT_LONG set all of it, else the raw cases that leave
// the broker and its connections alone.
func TestRabbitMQConformsUnordered(t *testing.T) {
	o := eventtest.Options{Unordered: true}
	if os.Getenv("LEAT_LONG") == "" {
		for _, c := range eventtest.Cases() {
			faults := []eventtest.Need{
				eventtest.NeedKill, eventtest.NeedPause, eventtest.NeedCut, eventtest.NeedIsolate, eventtest.NeedDrop, eventtest.NeedExpire,
			}
			disturbs := slices.ContainsFunc(c.Needs, func(n eventtest.Need) bool { return slices.Contains(faults, n) })
			if c.Level == eventtest.Raw && !disturbs {
				o.Only = append(o.Only, c.Name)
			}
		}
	}
	eventtest.TestAdapter(t, newHarness(t), &o)
}
