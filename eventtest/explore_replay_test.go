package eventtest_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// brokenVariable lets TestBroken run, which fails.
const brokenVariable = "LEAT_TEST_BROKEN"

// TestBroken is what TestReplayCommand runs in a process of its own.
func TestBroken(t *testing.T) {
	if os.Getenv(brokenVariable) == "" {
		t.Skip("it fails on purpose")
	}
	eventtest.Explore(t, 500, func(x *eventtest.Exploration) {
		x.Service("billing", consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
			x.Effect(ctx, e, "charge")
			return nil
		}))
		publishOrders(t, x, 10)
		x.ExactlyOnce("charge", nil)
	})
}

// TestReplayCommand runs a test that fails, and then with the environment that the failure prints.
func TestReplayCommand(t *testing.T) {
	broken := func(env ...string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$", "-test.v")
		cmd.Env = append(append(os.Environ(), brokenVariable+"=1"), env...)
		out, err := cmd.CombinedOutput()
		require.Error(t, err, "the test passes")
		return string(out)
	}
	out := broken()
	command := regexp.MustCompile(`(LEAT_EXPLORE_SEED=\d+) (LEAT_EXPLORE_SCHEDULE)='([^']+)' go test -run '\^TestBroken\$' \./eventtest\n`)
	m := command.FindStringSubmatch(out)
	require.NotNil(t, m, out)
	broke := regexp.MustCompile(`broke "exactly once: charge": (.*)`).FindStringSubmatch(out)
	require.NotNil(t, broke, out)
	assert.Contains(t, broken(m[1], m[2]+"="+m[3]), `breaks "exactly once: charge": `+broke[1])
}

// TestFindsLostOrder: a consumer that gives up the order by key, with a handler that needs it.
func TestFindsLostOrder(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		x.Service("billing", func(ctx context.Context, b leat.Broker) error {
			handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				x.EffectOnce(ctx, e, "charge")
				return nil
			})
			return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing", Unordered: true}, handler, nil))
		})
		publishOrders(t, x, 10)
		x.OrderPerKey("charge")
	}))
}

// TestFindsMissingEffect: a handler that passes over an event that comes again, although it may not
// have been handled the first time.
func TestFindsMissingEffect(t *testing.T) {
	found(t, eventtest.Search(t, 500, func(x *eventtest.Exploration) {
		x.Service("billing", consume("orders", "billing", func(ctx context.Context, e leat.Event) error {
			if info, _ := leat.InfoFrom(ctx); info.Deliveries == 1 {
				x.Effect(ctx, e, "charge")
			}
			return nil
		}))
		publishOrders(t, x, 10)
		x.ExactlyOnce("charge", func(leat.Event) bool { return true })
	}))
}
