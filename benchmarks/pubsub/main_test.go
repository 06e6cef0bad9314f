package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

// TestEveryCaseOnce runs each case with few events. A round fails unless every event arrives
// exactly once.
func TestEveryCaseOnce(t *testing.T) {
	addr := brokertest.PubSub(t)
	var report bytes.Buffer
	flags := command.Flags{Short: true, Timeout: time.Minute, Stdout: &report, Progress: io.Discard}
	if err := run(t.Context(), flags, addr, "an emulator for tests"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### Goals", "### publish", "### publish/keys", "### publish/many-keys", "### consume", "### consume/sleeping",
	} {
		if !bytes.Contains(report.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report.Bytes())
		}
	}
	if testing.Verbose() {
		t.Log(report.String())
	}
}
