package leat

import (
	"os"
	"strings"
	"testing"
)

// The table in docs/operations.md has each line of the log, with its level and its attributes.
func TestTheDocumentedLinesAreThoseOfTheLog(t *testing.T) {
	text, err := os.ReadFile("docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| message | level | attributes | what to do |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/operations.md has no table of lines")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Fatalf("a row has %d cells: %s", len(cells), row)
		}
		documented[strings.TrimPrefix(cells[0], "| ")] = strings.TrimSpace(cells[1] + " " + strings.ReplaceAll(cells[2], "`", ""))
	}
	for _, l := range logLines {
		want := strings.TrimSpace(l.level.String() + " " + l.attributes)
		if got := documented[l.message]; got != want {
			t.Errorf("docs/operations.md says of %q: %q, want %q", l.message, got, want)
		}
		delete(documented, l.message)
	}
	for message := range documented {
		t.Errorf("docs/operations.md has a line that nobody writes: %q", message)
	}
}

// What kindOf leaves of two reasons that differ in values only is the same.
func TestKindsOfReasonsHaveNoValues(t *testing.T) {
	for _, c := range []struct{ a, b string }{
		{`malformed JSON at byte 7: "x"`, `malformed JSON at byte 1234: "yy"`},
		{`partition 1: dial tcp 127.0.0.1:9092`, `partition 12: dial tcp 10.20.30.40:9093`},
	} {
		if kindOf(c.a) != kindOf(c.b) {
			t.Errorf("%q and %q are two kinds", kindOf(c.a), kindOf(c.b))
		}
	}
	if kindOf("no key") == kindOf("no value") {
		t.Error("two reasons are one kind")
	}
	if n := len(kindOf(strings.Repeat("a", 1000))); n > 210 {
		t.Errorf("a kind has %d bytes", n)
	}
}
