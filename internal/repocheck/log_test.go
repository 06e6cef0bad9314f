package repocheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestLogsOfAdaptersAreDocumented: docs/operations.md has a table for each of these adapters, with
// each message that the adapter logs, and its level.
func TestLogsOfAdaptersAreDocumented(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/operations.md")
	for name, folder := range map[string]string{"RabbitMQ": "rabbitmq", "NATS": "nats", "SNS and SQS": "awssnssqs", "Pub/Sub": "gcppubsub"} {
		documented := logTable(t, text, name)
		written := logged(t, filepath.Join(repoRoot(t), "adapters", folder))
		if len(written) == 0 {
			t.Errorf("%s logs nothing that this test finds", name)
		}
		for message, level := range written {
			if documented[message] != level {
				t.Errorf("docs/operations.md says of the line %q of %s: %q, want %q", message, name, documented[message], level)
			}
			delete(documented, message)
		}
		for message := range documented {
			t.Errorf("docs/operations.md has a line that %s does not write: %q", name, message)
		}
	}
}

// logTable returns the messages that a document says an adapter logs, and their levels.
func logTable(t *testing.T, text, name string) map[string]string {
	t.Helper()
	_, table, found := strings.Cut(text, "\n"+name+":\n\n| message | level | attributes | what to do |\n|---|---|---|---|\n")
	if !found {
		t.Fatalf("docs/operations.md has no table of the lines of %s", name)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) != 4 {
			t.Fatalf("a row has %d cells: %s", len(cells), row)
		}
		documented[strings.TrimPrefix(cells[0], "| ")] = cells[1]
	}
	return documented
}

// logCalls are the methods that write a line, with its level and the place of its message. Wrong
// and Well are those of an Incident; others of the name Wrong have fewer arguments.
var logCalls = map[string]struct {
	level       string
	at, atLeast int
}{
	"Wrong": {"WARN", 0, 3}, "Well": {"INFO", 0, 1},
	"Info": {"INFO", 0, 1}, "InfoContext": {"INFO", 1, 2}, "Warn": {"WARN", 0, 1}, "WarnContext": {"WARN", 1, 2},
	"Error": {"ERROR", 0, 1}, "ErrorContext": {"ERROR", 1, 2},
}

// logged returns the messages that the code in a folder logs, and their levels.
func logged(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if message, level, ok := logCall(n); ok {
				written[message] = level
			}
			return true
		})
	}
	return written
}

// logCall returns what a call logs.
func logCall(n ast.Node) (message, level string, ok bool) {
	call, _ := n.(*ast.CallExpr)
	if call == nil {
		return "", "", false
	}
	method, _ := call.Fun.(*ast.SelectorExpr)
	if method == nil {
		return "", "", false
	}
	c, found := logCalls[method.Sel.Name]
	if !found || len(call.Args) < c.atLeast {
		return "", "", false
	}
	literal, _ := call.Args[c.at].(*ast.BasicLit)
	if literal == nil {
		return "", "", false
	}
	message, err := strconv.Unquote(literal.Value)
	return message, c.level, err == nil
}
