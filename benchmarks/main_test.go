package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryCaseOnce runs each case with few events. A round fails unless every event was handled exactly once.
func TestEveryCaseOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte("before\n"+beginMarker+"old\n"+endMarker+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), flags{short: true, out: file, timeout: time.Minute, progress: io.Discard}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + beginMarker, endMarker + "after\n", "### Goals", "### memory/prebuilt", "### handler1ms"} {
		if !bytes.Contains(got, []byte(want)) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
	if bytes.Contains(got, []byte("old\n")) {
		t.Errorf("the old section is still there:\n%s", got)
	}
}

func TestUnknownGroup(t *testing.T) {
	err := run(t.Context(), flags{short: true, group: "nothing", timeout: time.Minute, progress: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("got error %v; want one that names the group", err)
	}
}

func TestReplaceSectionNeedsMarkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte("no markers\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceSection(file, []byte("text")); err == nil {
		t.Error("a file without markers was accepted")
	}
}
