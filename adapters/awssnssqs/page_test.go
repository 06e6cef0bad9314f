package awssnssqs_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "awssnssqs.md"))
	require.NoError(t, err)
	return string(text)
}

var inner = regexp.MustCompile("([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])")

// TestPageHasEveryOption: each field of Options is in the table of the page, with its parameter
// where a URL can set it, and nothing else is.
func TestPageHasEveryOption(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(page(t), "\n## Options\n")
	table, _, _ = strings.Cut(table, "\n## ")
	documented := map[string]string{} // parameter by field
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || strings.HasPrefix(row, "| parameter") || strings.HasPrefix(row, "|---") {
			continue
		}
		parameters, fields := quoted(cells[1]), quoted(cells[2])
		for i, field := range fields {
			documented[field] = ""
			if i < len(parameters) {
				documented[field] = parameters[i]
			}
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[awssnssqs.Options]()) {
		parameter := strings.ToLower(inner.ReplaceAllString(field.Name, "${1}${3}_${2}${4}"))
		_, err := awssnssqs.OptionsFromURL(&url.URL{Scheme: "awssnssqs", RawQuery: parameter + "=no"})
		if err != nil && strings.Contains(err.Error(), "is unknown") {
			parameter = ""
		}
		is, ok := documented[field.Name]
		assert.True(t, ok, "the page has no option %s", field.Name)
		assert.Equal(t, parameter, is, field.Name)
		delete(documented, field.Name)
	}
	assert.Empty(t, documented, "the page has options that do not exist")
}

func quoted(cell string) (words []string) {
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		words = append(words, m[1])
	}
	return words
}

// statement is one of the page's policies.
type statement struct {
	Sid    string   `json:"Sid"`
	Effect string   `json:"Effect"`
	Action []string `json:"Action"`
}

// policies returns the actions that the page's policies allow, by role: Publisher, Consumer,
// Provisioner.
func policies(t *testing.T) map[string][]string {
	t.Helper()
	roles := map[string][]string{}
	_, permissions, _ := strings.Cut(page(t), "\n## Permissions\n")
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(permissions, -1) {
		var policy struct {
			Version   string      `json:"Version"`
			Statement []statement `json:"Statement"`
		}
		require.NoError(t, json.Unmarshal([]byte(block[1]), &policy), block[1])
		assert.Equal(t, "2012-10-17", policy.Version)
		for _, s := range policy.Statement {
			assert.Equal(t, "Allow", s.Effect)
			role := regexp.MustCompile("^Leat(Publisher|Consumer|Provisioner)").FindStringSubmatch(s.Sid)
			require.NotNil(t, role, s.Sid)
			roles[role[1]] = append(roles[role[1]], s.Action...)
		}
	}
	require.Len(t, roles, 3)
	return roles
}

// permitting returns the action of IAM that permits an operation: a batch is permitted as one is.
func permitting(service, operation string) string {
	return service + ":" + strings.TrimSuffix(operation, "Batch")
}

// TestPoliciesNameWhatIsCalled: the policies of the page allow what the code calls, and nothing
// else.
func TestPoliciesNameWhatIsCalled(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	called := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\.(sqs|sns)\.([A-Z]\w+)\(ctx`).FindAllStringSubmatch(string(text), -1) {
			called[permitting(m[1], m[2])] = true
		}
	}
	allowed := map[string]bool{"sqs:SendMessage": true} // named in the text, for mode sqs
	for _, actions := range policies(t) {
		for _, action := range actions {
			allowed[action] = true
		}
	}
	assert.Equal(t, allowed, called)
}

// TestBlocksAreJSON: so that they can be copied.
func TestBlocksAreJSON(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	assert.Len(t, blocks, 4)
	assert.False(t, slices.ContainsFunc(blocks, func(b []string) bool { return !json.Valid([]byte(b[1])) }))
}
