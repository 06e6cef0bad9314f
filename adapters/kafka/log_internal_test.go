package kafka

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTheDocumentedLinesAreThoseOfTheLog: the table in docs/operations.md has each line of the
// adapter's log, with its level and its attributes.
func TestTheDocumentedLinesAreThoseOfTheLog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\nKafka:\n\n| message | level | attributes | what to do |\n|---|---|---|---|\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		require.Len(t, cells, 4, row)
		documented[strings.TrimPrefix(cells[0], "| ")] = cells[1] + " " + strings.ReplaceAll(cells[2], "`", "")
	}
	want := map[string]string{}
	for _, l := range logLines {
		want[l.message] = l.level.String() + " " + l.attributes
	}
	assert.Equal(t, want, documented)
}

// TestLinesOfIncidentsAreAsTheTableSays: the beginning of an incident has the level and the last
// attribute that the table gives it, and so has its end.
func TestLinesOfIncidentsAreAsTheTableSays(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	i := fault.Incident{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	for _, pair := range [][2]logLine{
		{lineOutage, lineOutageOver}, {lineSuspended, lineResumed}, {lineIll, lineWell}, {lineUnreadable, lineReadable},
	} {
		for n, l := range pair {
			out.Reset()
			names := strings.Fields(logLines[l].attributes)
			values := make([]any, len(names)-1)
			for at := range values {
				values[at] = "v"
			}
			if n == 0 {
				l.wrong(&i, "kind", errors.New("e"), values...)
			} else {
				l.well(&i, values...)
			}
			assert.Contains(t, out.String(), "level="+logLines[l].level.String()+" ")
			at := 0
			for _, name := range names {
				next := strings.Index(out.String()[at:], " "+name+"=")
				require.GreaterOrEqual(t, next, 0, "%s has no %s", out.String(), name)
				at += next + 1
			}
		}
	}
}

// TestPartitionsAreNamedInFewWords: a line does not grow with the partitions.
func TestPartitionsAreNamedInFewWords(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1 (7)", named([]int32{7}))
	assert.Equal(t, "3 (0, 1, 2)", named([]int32{2, 0, 1, 0}))
	many := make([]int32, 1000)
	for p := range many {
		many[p] = int32(999 - p)
	}
	assert.Equal(t, "1000 (0, 1, 2, 3, 4, ...)", named(many))
}

// TestIncidentsOfAStreamHaveOneLine: data that is lost, or cannot be read, again and again has one
// line, which is written without the stream's lock, and one for its end.
func TestIncidentsOfAStreamHaveOneLine(t *testing.T) {
	for name, c := range map[string]struct {
		wrong func(l *loose, n int64)
		lines []string
	}{
		"data loss": {func(l *loose, n int64) {
			l.ill.fetchFailed(0, &kgo.ErrDataLoss{Topic: "t", ConsumedTo: n + 1, ResetTo: n})
		}, []string{
			`level=WARN msg="a subscription has a problem" topic=t group=g problem="data loss" code=unavailable error="`,
			`level=INFO msg="a subscription has no problem any more" topic=t group=g lasted=7m0s`,
		}},
		"unreadable": {func(l *loose, n int64) {
			l.pass(l.tenures[0], &unreadable{first: n, next: n + 1, reason: errors.New("too large")})
		}, []string{
			`level=WARN msg="records cannot be read; they are passed as malformed deliveries" topic=t group=g partition=0 offset=0 next=1 ` +
				`error="too large"`,
			`level=INFO msg="for 5 minutes, no record came that cannot be read" topic=t group=g lasted=7m0s`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoose(t, 1<<20)
			synctest.Test(t, func(t *testing.T) {
				out := &unlocked{t: t, l: l}
				l.sub.Group, l.trouble.Logger, l.unread.Logger = "g", slog.New(slog.NewTextHandler(out, nil)), slog.New(slog.NewTextHandler(out, nil))
				for n := range int64(120) {
					l.mu.Lock()
					c.wrong(l, n)
					l.mu.Unlock()
					l.logIllness()
					l.logUnreadable()
					time.Sleep(time.Second)
				}
				assert.Len(t, out.lines, 1)
				time.Sleep(eventMemory)
				for range 2 {
					l.logIllness()
					l.logUnreadable()
				}
				require.Len(t, out.lines, 2)
				for i, want := range c.lines {
					assert.Contains(t, out.lines[i], want)
				}
				l.mu.Lock()
				c.wrong(l, 500)
				l.mu.Unlock()
				l.logIllness()
				l.logUnreadable()
				require.Len(t, out.lines, 3, "another incident")
				assert.Contains(t, out.lines[2], "50")
			})
		})
	}
}

// unlocked gathers the lines of a log that is written without the stream's lock.
type unlocked struct {
	t     testing.TB
	l     *loose
	lines []string
}

func (u *unlocked) Write(line []byte) (int, error) {
	if assert.True(u.t, u.l.mu.TryLock(), "the stream's lock is held") {
		u.l.mu.Unlock()
	}
	u.lines = append(u.lines, string(line))
	return len(line), nil
}

// TestPartitionsThatEndTogetherHaveOneLine: however many partitions a rebalance takes, whose events
// are handled again, there is one line.
func TestPartitionsThatEndTogetherHaveOneLine(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := newLoose(t, 1<<20)
	l.broker.o.Logger = slog.New(slog.NewTextHandler(&out, nil))
	l.sub.Group, l.presence = "g", newPresence(&Options{SessionTimeout: time.Second})
	begin := func() (tenures []*tenure, oldest []int64, partitions map[string][]int32) {
		partitions = map[string][]int32{}
		for p := range int32(12) {
			l.begin(p)
			tenures, oldest = append(tenures, l.tenures[p]), append(oldest, -1)
			partitions["t"] = append(partitions["t"], p)
		}
		return tenures, oldest, partitions
	}
	tenures, oldest, _ := begin()
	l.endRevoked(tenures, true, oldest, nil)
	assert.Empty(t, out.String())
	l.endRevoked(tenures, true, oldest, errors.New("no answer"))
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.Contains(t, out.String(), `msg="partitions are given up with unfinished events, which are handled again" topic=t group=g `+
		`partitions="12 (0, 1, 2, 3, 4, ...)" error="partition 0 was revoked, and what was finished could not be committed: no answer"`)

	out.Reset()
	_, _, partitions := begin()
	l.lost(t.Context(), nil, partitions)
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.Contains(t, out.String(), `msg="partitions are lost; other members handle their unfinished events" topic=t group=g `+
		`partitions="12 (0, 1, 2, 3, 4, ...)" error=`)
}
