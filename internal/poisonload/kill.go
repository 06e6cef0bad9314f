package poisonload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/poison"
)

// The environment of a replay in a process of its own: whose poison queue it replays, and the file
// that it writes what it handles into.
const (
	replayTopic = "LEAT_REPLAY_TOPIC"
	replayFile  = "LEAT_REPLAY_FILE"
	// ReplayHosts names the broker of such a process.
	ReplayHosts = "LEAT_REPLAY_HOSTS"
)

// Child replays a poison queue in a process that Killed has started. A test calls it with the
// broker that open returns; in other processes it skips the test.
func Child(tb testing.TB, open func(hosts string) leat.Broker) {
	tb.Helper()
	topic := os.Getenv(replayTopic)
	if topic == "" {
		tb.Skip("it is started by another test")
	}
	out, err := os.OpenFile(os.Getenv(replayFile), os.O_APPEND|os.O_WRONLY, 0) //nolint:gosec // the test's own
	if err != nil {
		tb.Fatal(err)
	}
	h := leat.HandlerFunc(func(_ context.Context, e leat.Event) error {
		i, err := strconv.Atoi(e.ID())
		if err == nil {
			_, err = out.WriteString(e.ID() + "\n")
		}
		if err == nil && i%10 == 0 {
			err = errors.New("again")
		}
		return err
	})
	broker, sub := open(os.Getenv(ReplayHosts)), leat.Subscription{Topic: topic, Group: "g"}
	result, err := poison.Replay(tb.Context(), broker, sub, h, &poison.ReplayOptions{
		Filter: func(e poison.Entry) bool { return e.Replays == 0 }, Concurrency: 4, Rate: 500,
	})
	tb.Logf("%+v", result)
	if err != nil {
		tb.Fatal(err)
	}
}

// Killed replays a poison queue of n events in processes that run the test of that name, which
// calls Child, and kills each of them but the last one. Every tenth event fails again. Nothing may
// be lost, and of each key the events are handled in order.
func Killed(tb testing.TB, broker leat.Broker, sub leat.Subscription, hosts, child string, n, kills int) {
	tb.Helper()
	Fill(tb, broker, sub, n)
	file := filepath.Join(tb.TempDir(), "handled")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		tb.Fatal(err)
	}
	for round := 0; ; round++ {
		ctx, cancel := context.WithTimeout(tb.Context(), patience)
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+child+"$", "-test.v") //nolint:gosec // it is this program
		cmd.Env = append(os.Environ(), replayTopic+"="+sub.Topic, replayFile+"="+file, ReplayHosts+"="+hosts)
		last := round == kills
		before := len(lines(tb, file))
		if last {
			text, err := cmd.CombinedOutput()
			cancel()
			tb.Logf("the last replay: %s", text)
			if err != nil {
				tb.Fatal(err)
			}
			break
		}
		if err := cmd.Start(); err != nil {
			tb.Fatal(err)
		}
		until(ctx, tb, "the replay has handled some events", func() bool { return len(lines(tb, file)) > before+n/(kills+4) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		cancel()
	}
	var first []int
	seen := map[int]bool{}
	all := lines(tb, file)
	for _, i := range all {
		if !seen[i] {
			seen[i] = true
			first = append(first, i)
		}
	}
	tb.Logf("%d events of %d were handled, %d times", len(first), n, len(all))
	if len(first) != n {
		tb.Fatalf("%d events of %d were handled", len(first), n)
	}
	ordered(tb, "a replay that was killed", first)
	left := map[int]bool{}
	for _, i := range Peek(tb, broker, sub) {
		left[i] = true
	}
	for i := 0; i < n; i += 10 {
		if !left[i] {
			tb.Fatalf("%d failed again, and is lost", i)
		}
	}
}

// lines returns the numbers in a file. The last one may be written in part.
func lines(tb testing.TB, file string) (all []int) {
	tb.Helper()
	f, err := os.Open(file) //nolint:gosec // the test's own
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if i, err := strconv.Atoi(s.Text()); err == nil {
			all = append(all, i)
		} else {
			tb.Log(fmt.Errorf("a line that was cut: %w", err))
		}
	}
	return all
}
