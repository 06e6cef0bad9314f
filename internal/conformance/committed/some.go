package committed

import (
	"os"
	"slices"
	"testing"

	"github.com/leatgo/leat/eventtest"
)

// Conforms runs the suite on a server that takes long for it: the cases of [Some], and all of them
// for a report. It leaves out what the server cannot show, of which without says why, by case. What
// came of the cases that ran has to be what the committed report of the same adapter says. It sets
// o.Only.
func Conforms(t *testing.T, h eventtest.Harness, o *eventtest.Options, docs, adapter, broker string, without map[string]string) {
	t.Helper()
	only := Some()
	whole := only == nil || os.Getenv("LEAT_REPORTS") != "" || os.Getenv(Variable) != ""
	if whole {
		only = nil
	}
	o.Only = remaining(only, without)
	report := eventtest.TestAdapter(t, h, o)
	report.Adapter, report.Broker = adapter, broker
	check(t, docs, &report, whole)
}

// Unordered returns the options of a run on Unordered subscriptions: of [Some] cases, without those
// that the server cannot show, of which without says why, by case.
func Unordered(without map[string]string) *eventtest.Options {
	return &eventtest.Options{Unordered: true, Only: remaining(Some(), without)}
}

// remaining returns the cases of only, nil for all of them, that without does not have.
func remaining(only []string, without map[string]string) []string {
	if only == nil {
		for _, c := range eventtest.Cases() {
			only = append(only, c.Name)
		}
	}
	return slices.DeleteFunc(only, func(name string) bool { return without[name] != "" })
}

// Some returns the cases of a run that is to be short: the raw ones that leave the broker and its
// connections alone. It returns nil, which means all of the suite, with LEAT_LONG set.
func Some() (only []string) {
	if os.Getenv("LEAT_LONG") != "" {
		return nil
	}
	faults := []eventtest.Need{
		eventtest.NeedKill, eventtest.NeedPause, eventtest.NeedCut, eventtest.NeedIsolate, eventtest.NeedDrop, eventtest.NeedExpire,
	}
	for _, c := range eventtest.Cases() {
		disturbs := slices.ContainsFunc(c.Needs, func(n eventtest.Need) bool { return slices.Contains(faults, n) })
		if c.Level == eventtest.Raw && !disturbs {
			only = append(only, c.Name)
		}
	}
	return only
}
