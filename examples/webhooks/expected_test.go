package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// expected counts what a run over files must report, from the payloads alone.
type expected struct {
	files, wanted, created, gone int
	data                         map[string]string // payload by id
}

func expect(t *testing.T, files fs.FS) expected {
	t.Helper()
	paths, err := fs.Glob(files, "*/*.json")
	require.NoError(t, err)
	x := expected{files: len(paths), data: map[string]string{}}
	for _, p := range paths {
		data, err := fs.ReadFile(files, p)
		require.NoError(t, err)
		var payload map[string]any
		require.NoError(t, json.Unmarshal(data, &payload))
		event := filepath.Dir(p)
		action, _ := payload["action"].(string)
		switch event {
		case "push":
			x.wanted++
		case "issues":
			if slices.Contains(issueActions, action) {
				x.wanted++
			}
		case "issue_comment":
			if action == "created" {
				x.wanted++
			}
		case "pull_request":
			if action == "opened" {
				x.wanted++
			}
		}
		if action == "created" {
			x.created++
		}
		if event == "meta" && action == "deleted" {
			x.gone++
		}
		x.data[strings.TrimSuffix(p, ".json")] = string(data)
	}
	return x
}

func (x expected) check(t *testing.T, out string) {
	t.Helper()
	received := fmt.Sprint(x.files + 1) // and the malformed one
	require.Equal(t, tableCounts{received: received, handled: x.wanted, skipped: x.files - x.wanted, poisoned: 1},
		tableRow(t, out, serviceIssues))
	require.Equal(t, tableCounts{received: received, handled: x.files, poisoned: 1}, tableRow(t, out, serviceAudit))
	require.Equal(t, tableCounts{received: received, handled: x.files - x.gone, retried: x.created + 3*x.gone, poisoned: 1 + x.gone},
		tableRow(t, out, serviceNotifications))
	require.Contains(t, out, fmt.Sprintf("%d events confirmed by the broker, 0 refused, 0 of unknown outcome, 0 not published", x.files+1))
	require.Contains(t, out, "every event is accounted for in every service")
}
