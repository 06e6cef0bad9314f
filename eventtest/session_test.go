package eventtest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainHarness can do what every harness must, and no more.
type plainHarness struct {
	inner *memoryHarness
	wrap  func(leat.Broker) leat.Broker // nil leaves it as it is
	opens atomic.Int64
}

func newPlainHarness(wrap func(leat.Broker) leat.Broker) *plainHarness {
	return &plainHarness{inner: newMemoryHarness(), wrap: wrap}
}

func (h *plainHarness) Open(ctx context.Context) (leat.Broker, error) {
	h.opens.Add(1)
	b, err := h.inner.Open(ctx)
	if err != nil || h.wrap == nil {
		return b, err
	}
	return h.wrap(b), nil
}

func (h *plainHarness) Topic() string { return h.inner.Topic() }

// pacedHarness has a pace as well.
type pacedHarness struct {
	*plainHarness

	pace eventtest.Pace
}

func (h pacedHarness) Pace() eventtest.Pace { return h.pace }

// needing returns the names of the cases that need n.
func needing(n eventtest.Need) []string {
	var names []string
	for _, c := range eventtest.Cases() {
		for _, need := range c.Needs {
			if need == n {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// TestMissingControlIsNamed: a case that needs a control which the harness lacks is skipped, at
// once, and the reason names the interface to implement. Where it needs several, that is the first.
func TestMissingControlIsNamed(t *testing.T) {
	first := map[string]string{}
	for _, c := range eventtest.Cases() {
		for _, need := range c.Needs {
			if first[c.Name] == "" && strings.HasPrefix(string(need), "the harness ") {
				first[c.Name] = string(need)
			}
		}
	}
	for need, control := range map[eventtest.Need]string{
		eventtest.NeedInject: "(Injector)", eventtest.NeedInjectKey: "(KeyInjector)", eventtest.NeedKill: "(Killer)",
		eventtest.NeedPause: "(Pauser)", eventtest.NeedCut: "(Cutter)", eventtest.NeedExpire: "(Expirer)", eventtest.NeedHeld: "(Holder)",
	} {
		assert.Contains(t, string(need), control)
		h := newPlainHarness(nil)
		report := eventtest.Check(h, &eventtest.Options{Only: needing(need)})
		require.NotEmpty(t, report.Results)
		for _, result := range report.Results {
			assert.Equal(t, eventtest.Skipped, result.Status, result.Case)
			assert.Equal(t, []string{"needed: " + first[result.Case]}, result.Seen, result.Case)
		}
		assert.Zero(t, h.opens.Load(), "nothing is opened to learn that a control is missing")
	}
}

// TestNeedsAreLearnedOnce: on a real broker each topic and subscription costs seconds.
func TestNeedsAreLearnedOnce(t *testing.T) {
	var groups, broadcasts atomic.Int64
	h := newPlainHarness(bend(func(b *bent) {
		b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
			switch {
			case sub.Group == "capabilities":
				groups.Add(1)
			case sub.Broadcast:
				broadcasts.Add(1)
			}
			return b.Subscribe(ctx, sub)
		}
	}))
	only := append(needing(eventtest.NeedOrder), needing(eventtest.NeedDelay)...)
	report := eventtest.Check(h, &eventtest.Options{Only: append(only, needing(eventtest.NeedDurable)...)})
	assert.Empty(t, report.Failed())
	assert.EqualValues(t, 1, groups.Load())
	assert.Zero(t, broadcasts.Load(), "no case needs one")
}

// claiming bends what streams declare.
func claiming(change func(sub leat.Subscription, c *leat.Capabilities)) func(leat.Broker) leat.Broker {
	return bendStreams(func(sub leat.Subscription, s *bentStream) {
		s.capabilities = func(c leat.Capabilities, _ bool) leat.Capabilities {
			change(sub, &c)
			return c
		}
	})
}

func TestWrongClaimsAreNoticed(t *testing.T) {
	unavailable := bend(func(b *bent) {
		b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
			if sub.Broadcast {
				return nil, failed(leat.CodeUnavailable)
			}
			return b.Subscribe(ctx, sub)
		}
	})
	for name, test := range map[string]struct {
		wrap       func(leat.Broker) leat.Broker
		rule, says string
	}{
		"counts deliveries, it says": {claiming(func(_ leat.Subscription, c *leat.Capabilities) {
			c.DeliveryCount = true
		}), "deliveries-counted", ""},
		"declares more than it holds to the one who asks": {claiming(func(sub leat.Subscription, c *leat.Capabilities) {
			c.Durable = sub.Group == "capabilities"
		}), "give-back-order", "declare what every stream of the kind holds"},
		"cannot say whether it broadcasts": {unavailable, "broadcast", "an adapter without one refuses with CodeUnsupported"},
	} {
		t.Run(name, func(t *testing.T) {
			wrap := test.wrap
			if test.rule == "deliveries-counted" {
				wrap = func(b leat.Broker) leat.Broker { return uncounted()(test.wrap(b)) }
			}
			began := time.Now()
			report := eventtest.Check(newPlainHarness(wrap), &eventtest.Options{Only: []string{test.rule}})
			require.Equal(t, []string{test.rule}, report.Failed())
			assert.Contains(t, strings.Join(report.Results[0].Seen, "\n"), test.says)
			assert.Less(t, time.Since(began), 30*time.Second)
		})
	}
}

// uncounted counts no deliveries.
func uncounted() func(leat.Broker) leat.Broker {
	return bendStreams(func(_ leat.Subscription, s *bentStream) {
		s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
			d.Deliveries = 0
			return true
		})
	})
}

// TestSuiteEndsWhateverTheAdapterDoes: a call that never returns, and a wait that can never be
// satisfied, end with a message, in time.
func TestSuiteEndsWhateverTheAdapterDoes(t *testing.T) {
	forever := make(chan struct{})
	t.Cleanup(func() { close(forever) })
	hanging := func(which func(sub leat.Subscription) bool) func(leat.Broker) leat.Broker {
		return bend(func(b *bent) {
			b.subscribe = func(b leat.Broker, ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
				if which(sub) {
					<-forever
				}
				return b.Subscribe(ctx, sub)
			}
		})
	}
	for name, test := range map[string]struct {
		wrap       func(leat.Broker) leat.Broker
		rule, says string
	}{
		"a call never returns": {
			hanging(func(sub leat.Subscription) bool { return sub.Group == "a" }), "every-group",
			"a call into the adapter or the harness does not return",
		},
		"the first call never returns": {
			hanging(func(sub leat.Subscription) bool { return sub.Group == "capabilities" }), "order-of-a-key",
			"every call has to end when its ctx ends",
		},
		"an outcome never comes": {
			publishing("", "", nil, func(leat.Broker, context.Context, string, []leat.Event, func(int, error)) {}).wrap, "done-once",
			"in vain until every event was reported",
		},
		"an event never comes": {
			bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(leat.Stream, *leat.Delivery) bool { return false })
			}), "every-group", "got 0 of 30 deliveries",
		},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			report := eventtest.Check(newPlainHarness(test.wrap), &eventtest.Options{
				Only: []string{test.rule}, Patience: 200 * time.Millisecond, CaseTimeout: time.Second,
			})
			require.Equal(t, []string{test.rule}, report.Failed())
			assert.Contains(t, strings.Join(report.Results[0].Seen, "\n"), test.says)
			assert.Less(t, time.Since(began), 20*time.Second)
		})
	}
}

// tardy is an adapter whose broker takes its time, and that makes groups when it subscribes, as it
// is no leat.Declarer.
type tardy struct {
	inner leat.Broker
	takes time.Duration
}

func (b *tardy) Publish(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
	b.inner.Publish(ctx, topic, events, done)
}

func (b *tardy) Subscribe(ctx context.Context, sub leat.Subscription) (leat.Stream, error) {
	timer := time.NewTimer(b.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, &leat.Error{Op: "subscribe", Code: leat.CodeCanceled, Err: ctx.Err()}
	}
	if err := leat.Declare(ctx, b.inner, sub); err != nil {
		return nil, err
	}
	return b.inner.Subscribe(ctx, sub)
}

func (b *tardy) Limits() leat.Limits { return b.inner.Limits() }
func (b *tardy) Close() error        { return b.inner.Close() }

// TestSuiteKeepsThePaceOfItsHarness runs all cases, several at a time, on an adapter that is slow
// to subscribe and declares nothing.
func TestSuiteKeepsThePaceOfItsHarness(t *testing.T) {
	const takes = 50 * time.Millisecond
	var mu sync.Mutex
	open, most := 0, 0
	h := newPlainHarness(func(inner leat.Broker) leat.Broker {
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		return bend(func(b *bent) {
			b.close = func(b leat.Broker, closed bool) error {
				mu.Lock()
				defer mu.Unlock()
				if !closed {
					open--
				}
				return b.Close()
			}
		})(inner)
	})
	slow := func(b leat.Broker) leat.Broker { return &tardy{inner: b, takes: takes} }
	inner := h.wrap
	h.wrap = func(b leat.Broker) leat.Broker { return slow(inner(b)) }
	report := eventtest.Check(pacedHarness{h, eventtest.Pace{Operation: takes, Parallel: 8}}, nil)
	assert.Len(t, report.Results, len(eventtest.Cases()))
	for i, c := range eventtest.Cases() {
		assert.Equal(t, c.Name, report.Results[i].Case, "the results keep the order of the suite")
	}
	if !assert.Empty(t, report.Failed()) {
		t.Log("\n" + report.Table())
		for _, r := range report.Results {
			if r.Status == eventtest.Failed {
				t.Log(r.Case, errors.New(strings.Join(r.Seen, "\n")))
			}
		}
	}
	assert.Greater(t, most, 4, "cases did not run side by side")
}

// TestCasesAreSpreadOverHarnesses: cases that have a broker for themselves run on all of them as
// well.
func TestCasesAreSpreadOverHarnesses(t *testing.T) {
	one, two := &countingHarness{memoryHarness: newMemoryHarness()}, &countingHarness{memoryHarness: newMemoryHarness()}
	only := append(needing(eventtest.NeedKill), append(needing(eventtest.NeedCut), "publish-batch", "order", "nothing-leaks")...)
	report := eventtest.Check(one, &eventtest.Options{Only: only, Beside: []eventtest.Harness{two}})
	assert.NotEmpty(t, report.Results)
	assert.Empty(t, report.Failed(), report.Table())
	for i, h := range []*countingHarness{one, two} {
		assert.Positive(t, h.opens.Load(), "harness %d", i)
		assert.Positive(t, h.faults.Load(), "harness %d", i)
	}
}

// countingHarness counts what the suite asks of it.
type countingHarness struct {
	*memoryHarness

	opens, faults atomic.Int64
}

func (h *countingHarness) Open(ctx context.Context) (leat.Broker, error) {
	h.opens.Add(1)
	return h.memoryHarness.Open(ctx)
}

func (h *countingHarness) Kill(ctx context.Context) error {
	h.faults.Add(1)
	return h.memoryHarness.Kill(ctx)
}

func (h *countingHarness) Cut(ctx context.Context) error {
	h.faults.Add(1)
	return h.memoryHarness.Cut(ctx)
}

// TestWrongOptionsFailEveryCase: a wrong option is no default.
func TestWrongOptionsFailEveryCase(t *testing.T) {
	for field, o := range map[string]eventtest.Options{
		"Options.Patience": {Patience: -1}, "Options.Quiet": {Quiet: -1}, "Options.CaseTimeout": {CaseTimeout: -1},
	} {
		report := eventtest.Check(nil, &o)
		require.NotEmpty(t, report.Results)
		for _, result := range report.Results {
			require.Equal(t, eventtest.Failed, result.Status)
			require.Contains(t, result.Seen[0], field+" is out of its range")
		}
	}
}
