package eventtest_test

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A rule's text begins with its number; a case cites rules before a colon, such as "P5, P11, W1:"
// and "P1, P4 to P6:".
var (
	ruleText   = regexp.MustCompile(`(?:^|[.)]\s+|\n)([A-Z][0-9]+)\. [A-Z\[a-z]`)
	ruleNumber = regexp.MustCompile(`\b([A-Z])([0-9]+)(?: to [A-Z]([0-9]+))?\b`)
)

// contractRules returns the numbers of the rules in the comments of the root package, and how often
// each is there.
func contractRules(t *testing.T) map[string]int {
	t.Helper()
	rules := map[string]int{}
	eachComment(t, "..", func(_, text string) {
		for _, m := range ruleText.FindAllStringSubmatch(text, -1) {
			rules[m[1]]++
		}
	})
	require.Greater(t, len(rules), 40, "the contract has been found")
	return rules
}

// eachComment calls f with the text of each comment in the Go files of a folder.
func eachComment(t *testing.T, folder string, f func(file, text string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, c := range parsed.Comments {
			f(file, c.Text())
		}
	}
}

// cited returns the rules that a text names, of those whose letter the contract uses.
func cited(t *testing.T, rules map[string]int, text string) (all []string) {
	t.Helper()
	letters := map[string]bool{}
	for rule := range rules {
		letters[rule[:1]] = true
	}
	for _, m := range ruleNumber.FindAllStringSubmatch(text, -1) {
		if !letters[m[1]] {
			continue
		}
		from, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		to := from
		if m[3] != "" {
			to, err = strconv.Atoi(m[3])
			require.NoError(t, err)
		}
		for n := from; n <= to; n++ {
			all = append(all, m[1]+strconv.Itoa(n))
		}
	}
	return all
}

// TestEveryRuleHasItsCase: each numbered rule of the contract is there once, and a case cites it.
func TestEveryRuleHasItsCase(t *testing.T) {
	rules := contractRules(t)
	by := map[string][]string{}
	for _, c := range eventtest.Cases() {
		before, _, ok := strings.Cut(c.Rule, ":")
		if !ok {
			continue
		}
		for _, rule := range cited(t, rules, before) {
			by[rule] = append(by[rule], c.Name)
			assert.Contains(t, rules, rule, "the case %s cites a rule that the contract does not have", c.Name)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		assert.Equal(t, 1, rules[rule], "the number %s is given more than once", rule)
		assert.NotEmpty(t, by[rule], "no case cites %s", rule)
	}
}

// TestCitedRulesExist: comments and the guide name no rule that the contract does not have, and the
// guide's table has each.
func TestCitedRulesExist(t *testing.T) {
	rules := contractRules(t)
	for _, folder := range []string{".", filepath.Join("..", "adapters", "memory"), filepath.Join("..", "internal", "withdrawal")} {
		eachComment(t, folder, func(file, text string) {
			for _, rule := range cited(t, rules, text) {
				assert.Contains(t, rules, rule, "%s cites it: %s", file, text)
			}
		})
	}
	guide, err := os.ReadFile(filepath.Join("..", "docs", "writing-an-adapter.md"))
	require.NoError(t, err)
	var table []string
	for line := range strings.Lines(string(guide)) {
		if number, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") {
			table = append(table, cited(t, rules, number)...)
		}
	}
	for rule := range rules {
		assert.Contains(t, table, rule, "the table of the guide has every rule")
	}
	for _, rule := range cited(t, rules, string(guide)) {
		assert.Contains(t, rules, rule, "the guide cites it")
	}
}
