package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv("WEBHOOKS_ARGS"); ok { // tests that kill the program run it like this
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(run(ctx, strings.Fields(args), os.Stdout, os.Stderr)) //nolint:gocritic // as main does
	}
	brokertest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// program runs the program and returns its status and what it printed, standard error after
// standard output.
func program(ctx context.Context, args ...string) (int, string) {
	var out, errOut bytes.Buffer
	status := run(ctx, args, &out, &errOut)
	return status, out.String() + errOut.String()
}

func embeddedFiles(t *testing.T) fs.FS {
	t.Helper()
	files, err := deliveryFiles("")
	require.NoError(t, err)
	return files
}

func TestWholeRun(t *testing.T) {
	x := expect(t, embeddedFiles(t))
	require.GreaterOrEqual(t, x.files, 60)
	require.Equal(t, 1, x.gone)
	ledgers, outDir := t.TempDir(), t.TempDir()
	status, out := program(t.Context(), "-ledger", ledgers, "-out", outDir)
	require.Equal(t, exitOK, status, out)
	x.check(t, out)
	require.Contains(t, out, "meta/deleted, type com.github.meta.deleted, attempts 4\n    gave up after 4 attempts")
	require.Equal(t, 3, strings.Count(out, ", type leat.malformed.v1, attempts 0\n"))

	t.Run("the audit file holds every event in a line", func(t *testing.T) {
		lines, err := os.ReadFile(filepath.Join(outDir, "audit.jsonl"))
		require.NoError(t, err)
		got := map[string]string{}
		for line := range bytes.Lines(lines) {
			e, err := leat.ParseEvent(bytes.TrimSuffix(line, []byte("\n")))
			require.NoError(t, err)
			require.NotContains(t, string(line), "data_base64")
			got[e.ID()] = e.DataString()
		}
		want := map[string]string{}
		for id, data := range x.data {
			want[id] = compactJSON(t, data)
		}
		require.Equal(t, want, got)
	})
	t.Run("the ledger files tell the same", func(t *testing.T) {
		status, out := check(t, ledgers)
		require.Equal(t, exitOK, status, out)
		require.Contains(t, out, "every event is accounted for in every service")
	})
	t.Run("the check fails when one line is missing", func(t *testing.T) {
		dropLine(t, ledgers, `"fact":"handled","service":"audit"`)
		status, out := check(t, ledgers)
		require.Equal(t, exitUnaccounted, status, out)
		require.Contains(t, out, "lost: ")
	})
	t.Run("the flowchart is written", func(t *testing.T) {
		chart, err := os.ReadFile(filepath.Join(outDir, "flow.mmd"))
		require.NoError(t, err)
		require.Contains(t, out, string(chart))
		require.Contains(t, string(chart), fmt.Sprintf(`audit["audit: %d handled, 0 skipped"]`, x.files))
	})
}

func compactJSON(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, []byte(s)))
	return b.String()
}

// dropLine takes the first line that contains text out of the ledger.
func dropLine(t *testing.T, dir, text string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	data, err := os.ReadFile(paths[0])
	require.NoError(t, err)
	lines := strings.SplitAfter(string(data), "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, text) })
	require.GreaterOrEqual(t, i, 0)
	require.NoError(t, os.WriteFile(paths[0], []byte(strings.Join(slices.Delete(lines, i, i+1), "")), 0o600))
}

func TestRepeat(t *testing.T) {
	status, out := program(t.Context(), "-repeat", "5")
	require.Equal(t, exitOK, status, out)
	require.Equal(t, 5*expect(t, embeddedFiles(t)).files, tableRow(t, out, serviceAudit).handled)
}

func TestUsage(t *testing.T) {
	empty := t.TempDir()
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"-dir", filepath.Join(empty, "none")}, exitUnaccounted, "no such file"},
		{[]string{"-dir", "main.go"}, exitUnaccounted, "is not a folder"},
		{[]string{"-dir", empty}, exitUnaccounted, "no deliveries"},
		{[]string{"-broker", "carrier-pigeon://loft"}, exitUnaccounted, "no adapter for the scheme of the broker URL; use one of amqp://"},
		{[]string{"-run", "billing"}, exitUsage, "none of all, publish, issues, audit, notifications, poison, check"},
		{[]string{"-run", "audit", "-ledger", empty}, exitUsage, "mem:// lives in one process"},
		{[]string{"-run", "publish", "-ledger", empty}, exitUsage, "mem:// lives in one process"},
		{[]string{"-run", "check"}, exitUsage, "needs -ledger"},
		{[]string{"-topic", "no good"}, exitUnaccounted, "no good"},
		{[]string{"-repeat", "0"}, exitUsage, "-repeat"},
		{[]string{"-nonsense"}, exitUsage, "nonsense"},
		{[]string{"stray"}, exitUsage, `unexpected argument "stray"`},
		{[]string{"-h"}, exitOK, "-ledger"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			status, out := program(t.Context(), c.args...)
			require.Equal(t, c.status, status, out)
			require.Contains(t, out, c.want)
		})
	}
}

func TestGarbageIsReported(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"issues/good.json":   `{"action":"opened","issue":{"number":7,"title":"t"},"repository":{"full_name":"o/r"}}`,
		"issues/empty.json":  "",
		"issues/cut.json":    `{"action":"opened","iss`,
		"push/list.json":     `[1,2]`,
		"push/strange.json":  `{"ref":{"odd":true},"repository":"none","sender":{"login":"someone"},"commits":[]}`,
		"ignored/notes.text": "not a delivery",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	ledgers := t.TempDir()
	status, out := program(t.Context(), "-dir", dir, "-ledger", ledgers)
	require.Equal(t, exitOK, status, out)
	for _, id := range []string{"issues/empty", "issues/cut", "push/list"} {
		require.Contains(t, out, "not published: "+id+": ")
	}
	require.Contains(t, out, "3 events confirmed by the broker, 0 refused, 0 of unknown outcome, 3 not published")
	// The strange push decodes into no pushEvent, so the issues service rejects it; the others take
	// it as it is.
	require.Equal(t, tableCounts{received: "3", handled: 1, poisoned: 2}, tableRow(t, out, serviceIssues))
	require.Equal(t, tableCounts{received: "3", handled: 2, poisoned: 1}, tableRow(t, out, serviceAudit))
	status, out = check(t, ledgers)
	require.Equal(t, exitOK, status, out)
}

func TestInterruptDrains(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ledgers := t.TempDir()
	time.AfterFunc(150*time.Millisecond, interrupt)
	start := time.Now()
	status, out := program(ctx, "-pace", "5ms", "-repeat", "100", "-ledger", ledgers)
	require.Equal(t, exitUnaccounted, status, out)
	require.Less(t, time.Since(start), 5*time.Second)
	require.Contains(t, out, "publishing stopped: context canceled")
	require.Positive(t, tableRow(t, out, serviceAudit).handled)
	require.NotContains(t, out, findingGhost+": ")
	require.NotContains(t, out, findingInverted+": ")
	require.Contains(t, out, "0 of unknown outcome") // every publish had its answer
}

func TestTimeout(t *testing.T) {
	status, out := program(t.Context(), "-pace", "5ms", "-repeat", "100", "-timeout", "100ms")
	require.Equal(t, exitUnaccounted, status, out)
	require.Contains(t, out, errTimeout.Error())
}
