package eventtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busy wires services whose handlers fail, publish and act, with random ids and retries with
// jitter.
func busy(x *Exploration) {
	var mu sync.Mutex
	failures := map[string]int{}
	fails := func(e leat.Event) bool {
		mu.Lock()
		defer mu.Unlock()
		failures[e.Key()]++
		return failures[e.Key()]%3 == 1
	}
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		p := leat.NewProducer(b, &leat.ProducerOptions{Source: "/billing"})
		handler := leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			if fails(e) {
				return errors.New("now and then it fails")
			}
			x.Effect(ctx, e, "charge")
			paid, err := leat.NewEvent("order.paid", nil)
			if err != nil {
				return err
			}
			return p.Publish(ctx, "payments", paid)
		})
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"}, handler, nil))
	})
	for _, group := range []string{"shipping", "mail"} {
		x.Service(group, func(ctx context.Context, b leat.Broker) error {
			return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "payments", Group: group},
				leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
					x.Effect(ctx, e, group)
					return nil
				}), nil))
		})
	}
	for i := range 10 {
		e, _ := leat.NewEvent("order.placed", &leat.EventOptions{Key: fmt.Sprint("key-", i%4)})
		x.Publish("orders", e)
	}
	x.NoLoss()
}

// TestEveryFaultHappens: the runs together have every fault at every kind of action that can have
// it.
func TestEveryFaultHappens(t *testing.T) {
	happened := map[string]bool{}
	for seed := range uint64(1500) {
		for _, d := range execute1(t, newPlan(seed), busy).plan.chosen {
			parts := strings.Split(d.label, "/")
			happened[parts[1]+" "+string(d.fault)] = true
		}
	}
	for action, faults := range map[string][]fault{
		"publish": {faultRefused, faultUnknownStored, faultUnknownLost, faultCrashBefore, faultCrashAfter, faultLeaseLost, faultDelay},
		"charge":  {faultCrashBefore, faultCrashAfter, faultLeaseLost, faultDelay},
		"ack":     {faultRedeliver, faultCrashBefore, faultCrashAfter, faultLeaseLost, faultDelay},
		"deliver": {faultCrashBefore, faultLeaseLost, faultDelay},
		"restart": {faultDelay},
	} {
		for _, f := range faults {
			assert.True(t, happened[action+" "+string(f)], "no %s has the fault %s", action, f)
		}
	}
}

// TestRunThatHangsIsGivenUp: what waits outside of the bubble, or is busy, ends the run after its
// limit of real time.
func TestRunThatHangsIsGivenUp(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer w.Close() //nolint:errcheck // it ends the read
	p := replayPlan(1, nil)
	p.limit = 200 * time.Millisecond
	result := execute1(t, p, func(x *Exploration) {
		x.Drive("reader", func(context.Context, leat.Broker) error {
			_, err := r.Read(make([]byte, 1))
			return err
		})
	})
	require.NotNil(t, result.failure)
	assert.ErrorContains(t, result.failure.err, "of real time")
}

// TestScheduleText: what is printed can be read back.
func TestScheduleText(t *testing.T) {
	decisions := []decision{
		{label: "billing/deliver/e1#2", fault: faultCrashBefore}, {label: "a/ack/billing.3", fault: faultDelay, steps: 7},
	}
	text := replayPlan(1, nil)
	text.chosen = decisions
	parsed, err := parseSchedule(strings.Join(text.schedule(), ","))
	require.NoError(t, err)
	assert.Equal(t, decisions, parsed)
	for _, wrong := range []string{"e1", "e1=flood", "e1=delay", "e1=delay0", "e1=delayx"} {
		_, err := parseSchedule(wrong)
		assert.Error(t, err, wrong)
	}
}

// BenchmarkExplore measures runs of 50 events through two services.
func BenchmarkExplore(b *testing.B) {
	var t testing.T // nothing of it is used but its place in the tree of tests
	seed := uint64(0)
	for b.Loop() {
		seed++
		if r := execute1(&t, newPlan(seed), fifty); r.failure != nil {
			b.Fatal(r.failure.invariant, r.failure.err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "schedules/s")
}

// fifty wires a service that handles 50 events, once each.
func fifty(x *Exploration) {
	x.Service("billing", func(ctx context.Context, b leat.Broker) error {
		return leat.Run(ctx, leat.NewConsumer(b, leat.Subscription{Topic: "orders", Group: "billing"},
			leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
				x.EffectOnce(ctx, e, "charge")
				return nil
			}), nil))
	})
	for i := range 50 {
		e, _ := leat.NewEvent("order.placed", &leat.EventOptions{Key: fmt.Sprint("key-", i%8)})
		x.Publish("orders", e)
	}
	x.ExactlyOnce("charge", func(leat.Event) bool { return true })
	x.OrderPerKey("charge")
	x.NoLoss()
}
