package adapterkit_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/adapterkit"
)

var (
	sqs    = adapterkit.Names{MaxBytes: 80}
	pubsub = adapterkit.Names{MaxBytes: 255, Punctuation: "-_.~+%", LetterFirst: true, Reserved: []string{"goog"}}
	nats   = adapterkit.Names{MaxBytes: 32, Punctuation: "-"}
)

var hashed = regexp.MustCompile(`-[0-9a-f]{8}$`)

// Names stay as they are from one version to the next: queues have them.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 249)
	for _, c := range []struct {
		rule  adapterkit.Names
		parts []string
		want  string
	}{
		{sqs, []string{"orders"}, "orders"},
		{sqs, []string{"orders", "billing"}, "orders_billing"},
		{sqs, []string{"orders", "billing-service"}, "orders_billing-service"},
		{sqs, []string{"order_events"}, "order_events"},
		{sqs, []string{"order_events", "billing"}, "order_events_billing-#"},
		{sqs, []string{"orders.eu", "billing"}, "orders-eu_billing-#"},
		{sqs, []string{"orders-eu", "billing"}, "orders-eu_billing"},
		{sqs, []string{"orders.billing.poison", "replay"}, "orders-billing-poison_replay-#"},
		{sqs, []string{long, "billing"}, long[:71] + "-#"},
		{sqs, []string{strings.Repeat("x", 80)}, strings.Repeat("x", 80)},
		{sqs, []string{strings.Repeat("x", 81)}, strings.Repeat("x", 71) + "-#"},
		{sqs, []string{"orders-0123abcd"}, "orders-0123abcd-#"},
		{sqs, []string{"orders-0123ABCD"}, "orders-0123ABCD"},
		{sqs, []string{"ü"}, "---#"},
		{sqs, []string{""}, "x--#"},
		{sqs, nil, "x--#"},
		{sqs, []string{"orders", ""}, "orders_"},
		{pubsub, []string{"orders.eu"}, "orders.eu"},
		{pubsub, []string{"7.orders"}, "x-7.orders-#"},
		{pubsub, []string{"Google"}, "x-Google-#"},
		{nats, []string{"orders", "billing"}, "orders-billing"},
		{nats, []string{"orders", "billing-eu"}, "orders-billing-eu-#"},
		{nats, []string{"order_events"}, "order-events-#"},
		{adapterkit.Names{MaxBytes: 3}, []string{long}, long[:11] + "-#"},
	} {
		got := c.rule.Name(c.parts...)
		if begins, ok := strings.CutSuffix(c.want, "-#"); ok {
			assert.Regexp(t, "^"+regexp.QuoteMeta(begins)+hashed.String(), got, "%q", c.parts)
		} else {
			assert.Equal(t, c.want, got, "%q", c.parts)
		}
	}
	assert.Equal(t, "orders-eu_billing-58b23956", sqs.Name("orders.eu", "billing"))
}

// No two topics, and no two pairs, of short names that look alike have one name.
func TestNamesAreUnique(t *testing.T) {
	var words []string
	for _, a := range []string{"a", "-", "_", ".", "a-0123abcd", ""} {
		for _, b := range []string{"b", "-", "_", ".", "-0123abcd", ""} {
			words = append(words, a+b, b+a, a+b+a)
		}
	}
	for name, rule := range map[string]adapterkit.Names{"sqs": sqs, "pubsub": pubsub, "nats": nats} {
		topics, pairs := map[string]string{}, map[string]string{}
		for _, a := range words {
			unique(t, name, topics, rule.Name(a), fmt.Sprintf("%q", a))
			for _, b := range words {
				unique(t, name, pairs, rule.Name(a, b), fmt.Sprintf("%q %q", a, b))
			}
		}
	}
}

func unique(t *testing.T, what string, seen map[string]string, name, parts string) {
	t.Helper()
	if other, twice := seen[name]; twice && other != parts {
		t.Errorf("%s: %s and %s are both called %q", what, other, parts, name)
	}
	seen[name] = parts
}

// FuzzNames: names are what the broker takes, the same every time, and those of different parts
// differ, unless a hash says which is which badly.
func FuzzNames(f *testing.F) {
	f.Add("orders", "billing", "orders", "billing-eu", uint8(80))
	f.Add("a-b", "c", "a", "b-c", uint8(20))
	f.Add("a_b", "c", "a", "b_c", uint8(80))
	f.Add("a.b", "c", "a-b", "c", uint8(80))
	f.Add("a", "b-01234567", "a", "b.01234567", uint8(30))
	f.Add("\xff", "", "", "\x00", uint8(20))
	f.Fuzz(func(t *testing.T, a, b, c, d string, most uint8) {
		for _, rule := range []adapterkit.Names{
			{MaxBytes: int(most)}, {MaxBytes: int(most), Punctuation: "-"},
			{MaxBytes: int(most), Punctuation: "-_.", LetterFirst: true, Reserved: []string{"goog"}},
		} {
			one, two := rule.Name(a, b), rule.Name(c, d)
			checkName(t, rule, one)
			if one != rule.Name(a, b) {
				t.Fatalf("%q %q has two names", a, b)
			}
			if one == two && (a != c || b != d) {
				t.Fatalf("%q %q and %q %q are both called %q", a, b, c, d, one)
			}
			if x, y := rule.Name(a), rule.Name(c); x == y && a != c {
				t.Fatalf("%q and %q are both called %q", a, c, x)
			}
		}
	})
}

func checkName(t *testing.T, rule adapterkit.Names, name string) {
	t.Helper()
	most := max(rule.MaxBytes, 20)
	if rule.MaxBytes == 0 {
		most = 80
	}
	allowed := rule.Punctuation
	if allowed == "" {
		allowed = "-_"
	}
	letter := regexp.MustCompile(`^[A-Za-z]`)
	switch rest := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"+allowed); {
	case name == "" || len(name) > most:
		t.Fatalf("the name %q has %d bytes; at most %d are allowed", name, len(name), most)
	case rest != "":
		t.Fatalf("the name %q has what is not allowed: %q", name, rest)
	case rule.LetterFirst && !letter.MatchString(name):
		t.Fatalf("the name %q begins with no letter", name)
	case rule.LetterFirst && strings.HasPrefix(strings.ToLower(name), "goog"):
		t.Fatalf("the name %q begins as the broker's own", name)
	}
}
