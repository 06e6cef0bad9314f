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

// TestBlocksAreJSON: so that they can be copied.
func TestBlocksAreJSON(t *testing.T) {
	t.Parallel()
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	assert.Len(t, blocks, 4)
	assert.False(t, slices.ContainsFunc(blocks, func(b []string) bool { return !json.Valid([]byte(b[1])) }))
}
