package command

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

func TestUnknownGroup(t *testing.T) {
	p := Program{Groups: []bench.Group{{Name: "something"}}}
	err := p.Run(t.Context(), Flags{Short: true, Group: "nothing", Timeout: time.Minute, Progress: io.Discard})
	if err == nil || !strings.Contains(err.Error(), `"nothing"`) {
		t.Errorf("got error %v; want one that names the group", err)
	}
}

func TestReplaceSection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(file, []byte("before\n"+beginMarker+"old\n"+endMarker+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceSection(file, []byte("new\n")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + beginMarker + "\nnew\n" + endMarker + "after\n"; string(got) != want {
		t.Errorf("got %q; want %q", got, want)
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
	if err := (&Program{}).Run(t.Context(), Flags{Out: file}); err == nil {
		t.Error("it measures for a file without markers")
	}
}

// A result that has no place is found now, and not after it was measured.
func TestPagesHaveMarkers(t *testing.T) {
	pages, err := filepath.Glob("../../*/README.md")
	if err != nil || len(pages) < 7 {
		t.Fatalf("got %v, %v", pages, err)
	}
	for _, page := range append(pages, "../../README.md") {
		if _, _, err := around(page); err != nil {
			t.Error(err)
		}
	}
}
