package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leatgo/leat/benchmarks/internal/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryCaseOnce runs each case with few events. A round fails unless every event was handled
// exactly once.
func TestEveryCaseOnce(t *testing.T) {
	var report bytes.Buffer
	flags := command.Flags{Short: true, Timeout: time.Minute, Stdout: &report, Progress: io.Discard}
	if err := program().Run(t.Context(), flags); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### Goals", "### memory/prebuilt", "### handler1ms"} {
		if !bytes.Contains(report.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report.Bytes())
		}
	}
}
