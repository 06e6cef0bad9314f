package eventtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The environment of a test that replays what [Explore] found. The seed alone is where a search
// begins.
const (
	seedVariable     = "LEAT_EXPLORE_SEED"
	scheduleVariable = "LEAT_EXPLORE_SCHEDULE"
)

// Explore runs an application many times under chaos and fails t when it finds a run that breaks an
// invariant.
//
// wire is called once for each run. It makes the services, the events from outside and the
// invariants of that run, and all state that they share, so that no run sees another. Each run has
// a seed, from which follows a schedule: which delivery, publish, effect and settlement comes next,
// and what goes wrong with it. Services crash and start again; publishes are refused, or end
// without anybody knowing whether the event is stored; leases are lost; events are delivered again,
// and late. Only one handler goes on at a time, in a bubble of [testing/synctest] with its fake
// time, so that a seed gives the same schedule every time. The first run has no faults at all. A
// run has few faults; after them everything is delivered, and when nothing is left to do, the
// invariants are checked.
//
// A failure tells the seed, a schedule that was shortened until every fault in it is needed, what
// happened under it, and a command that replays just that. LEAT_EXPLORE_SEED alone sets the seed of
// the first run, 1 otherwise.
//
// Handlers must block only on what the bubble knows: channels, timers and Leat, no network and no
// disk. What they share needs locks, as it does in production, but no [sync.Mutex] may be held
// across a call of Publish or Effect: another handler that waits for it keeps the bubble from
// coming to rest, and a crash ends the goroutine there.
func Explore(t *testing.T, runs int, wire func(x *Exploration)) {
	t.Helper()
	if schedule, ok := os.LookupEnv(scheduleVariable); ok {
		replay(t, schedule, wire)
		return
	}
	if f := Search(t, runs, wire); f != nil {
		t.Fatal(f.String())
	}
}

// Search does what [Explore] does and returns what it found, nil for nothing, instead of failing t.
// It takes no notice of a schedule in the environment.
func Search(t *testing.T, runs int, wire func(x *Exploration)) *Finding {
	t.Helper()
	first := uint64(1)
	if text := os.Getenv(seedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q, not a number", seedVariable, text)
		}
		first = seed
	}
	for i := range runs {
		plan := newPlan(first + uint64(i))
		if i == 0 {
			plan = replayPlan(first, nil)
		}
		r := execute1(t, plan, wire)
		if r.failure == nil {
			continue
		}
		r = shrink(t, r, wire)
		return &Finding{
			Seed: r.plan.seed, Runs: i + 1, Invariant: r.failure.invariant, Err: r.failure.err, Schedule: r.plan.schedule(),
			Timeline: r.shortTimeline(), Command: command(t, r.plan),
		}
	}
	return nil
}

// Finding is a run that broke an invariant.
type Finding struct {
	// Seed is the seed of the run, and Runs how many runs it took to find it.
	Seed uint64
	Runs int
	// Invariant names what was broken, and Err says how.
	Invariant string
	Err       error
	// Schedule is the shortened list of what must go wrong: "label=fault", empty where it fails
	// without any fault.
	Schedule []string
	// Timeline is what happened under that schedule, a line for each step, with the line from which
	// it follows. What happened to events that the faults do not concern is left out; a replay
	// prints it all.
	Timeline string
	// Command replays it.
	Command string
}

// String returns all of it as text for a test's log.
func (f *Finding) String() string {
	faults := plural(len(f.Schedule), "fault", "faults")
	return fmt.Sprintf("run %d broke %q: %v\nseed %d, shortened to %d %s:\n%s\n%s\nreplay with\n  %s",
		f.Runs, f.Invariant, f.Err, f.Seed, len(f.Schedule), faults, indent(f.Schedule), f.Timeline, f.Command)
}

func indent(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// replay runs the one schedule that the environment names.
func replay(t *testing.T, schedule string, wire func(x *Exploration)) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv(seedVariable), 10, 64)
	if err != nil {
		t.Fatalf("%s is set, and %s is not a number: %v", scheduleVariable, seedVariable, err)
	}
	decisions, err := parseSchedule(schedule)
	if err != nil {
		t.Fatalf("%s: %v", scheduleVariable, err)
	}
	r := execute1(t, replayPlan(seed, decisions), wire)
	if r.failure == nil {
		t.Logf("the schedule breaks no invariant\n%s", r.timeline())
		return
	}
	t.Fatalf("the schedule breaks %q: %v\n%s", r.failure.invariant, r.failure.err, r.timeline())
}
