package committed

import (
	"os"
	"slices"

	"github.com/leatgo/leat/eventtest"
)

// Unordered returns the options of a run on Unordered subscriptions. With LEAT_LONG set it is the
// whole suite, else the raw cases that leave the broker and its connections alone.
func Unordered() *eventtest.Options {
	o := &eventtest.Options{Unordered: true}
	if os.Getenv("LEAT_LONG") != "" {
		return o
	}
	faults := []eventtest.Need{
		eventtest.NeedKill, eventtest.NeedPause, eventtest.NeedCut, eventtest.NeedIsolate, eventtest.NeedDrop, eventtest.NeedExpire,
	}
	for _, c := range eventtest.Cases() {
		disturbs := slices.ContainsFunc(c.Needs, func(n eventtest.Need) bool { return slices.Contains(faults, n) })
		if c.Level == eventtest.Raw && !disturbs {
			o.Only = append(o.Only, c.Name)
		}
	}
	return o
}
