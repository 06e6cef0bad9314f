package main

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/leatgo/leat/benchmarks/aws/internal/cases"
	"github.com/leatgo/leat/benchmarks/internal/command"
	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) { brokertest.Main(m) }

// TestEveryCaseOnce runs each case with few events. A round fails unless every event arrives
// exactly once.
func TestEveryCaseOnce(t *testing.T) {
	var report bytes.Buffer
	flags := command.Flags{Short: true, Timeout: time.Minute, Stdout: &report, Progress: io.Discard}
	stub, stop, err := startStub(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop() //nolint:errcheck // the test has its result
	if err := run(t.Context(), flags, cases.Servers{Publish: brokertest.ElasticMQ(t), Consume: stub}, "an SQS for tests"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### Goals", "### publish/fifo", "### publish/standard", "### consume/fifo", "### consume/standard", "### sleeping",
	} {
		if !bytes.Contains(report.Bytes(), []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, report.Bytes())
		}
	}
	if testing.Verbose() {
		t.Log(report.String())
	}
}
