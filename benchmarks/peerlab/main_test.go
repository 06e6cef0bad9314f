package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/scenario"
	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

// TestScenarios runs those that are quick. Leat has to hold; the others have to do what README.md
// says of them, where that does not depend on the moment. The program is built without the race
// detector, which would report the races of the others.
func TestScenarios(t *testing.T) {
	brokertest.StartRabbitMQ(t, nil).Kill() // skips the test where there is no RabbitMQ
	program := filepath.Join(t.TempDir(), "peerlab")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name  string
		holds bool
		seen  string // a part of it
	}{
		{"restart/leat", true, "lost 0 of 200"},
		{"restart/gocloud", false, "lost 200 of 200"},
		{"restart/gocloud-safe", true, "lost 0 of 200"},
		{"unroutable/leat", true, "0 of 10 said"},
		{"unroutable/watermill-safe", false, "10 of 10 said"},
		{"full/leat", true, "1 said to be published, 1 stored"},
		{"full/watermill", false, "20 said to be published, 1 stored"},
		{"batch/leat", true, "said to be published: first and third; stored: first and third"},
		{"batch/watermill-tx", false, "said to be published: first and broken and third; stored: none"},
		{"late-ack/leat", true, "no other message"},
		{"late-ack/gocloud-safe", false, "is lost"},
		{"deleted/leat", true, "consumes again"},
		{"deleted/watermill-safe", false, "empty messages that nobody published: 1"},
		{"odd-header/leat", true, "0 redeliveries in 2 s; 5 of 5 others handled; it was handled"},
		{"odd-header/watermill-safe", false, "0 of 5 others handled"},
		{"odd-metadata/leat", true, "5 of 5 others handled; it was not handled, but put into the poison queue"},
		{"odd-metadata/watermill-safe", false, "0 of 5 others handled"},
		{"foreign/leat", true, "put into the poison queue"},
		{"alarm/leat", true, "kept by 10 of 10 publishes and 10 of 10 closes"},
		{"alarm/watermill-safe", false, "kept by 0 of 10 publishes and 0 of 10 closes"},
		{"paused/leat", true, "kept by 10 of 10 publishes and 10 of 10 closes"},
		{"cut/leat", true, "went on after each of 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !slices.Contains([]string{"alarm", "paused", "odd-header", "odd-metadata", "foreign"}, path.Dir(c.name)) {
				t.Parallel() // those are about time, and run alone
			}
			r := once(t, program, c.name)
			if r.Held != c.holds || !strings.Contains(r.Seen, c.seen) {
				t.Errorf("held is %v and seen %q; want %v and %q", r.Held, r.Seen, c.holds, c.seen)
			}
		})
	}
}

// once runs a scenario for a party.
func once(t *testing.T, program, name string) (r scenario.Result) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "-cell", name, "-short")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}
