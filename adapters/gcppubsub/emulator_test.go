package gcppubsub_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	vkit "cloud.google.com/go/pubsub/v2/apiv1"
	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/conformance/committed"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// emulator is Google's emulator.
type emulator struct{ *brokertest.PubSubServer }

// Publish publishes a message past the adapter.
func (e emulator) Publish(ctx context.Context, topic string, m *pb.PubsubMessage) error {
	c, err := vkit.NewTopicAdminClient(ctx, option.WithEndpoint(e.Addr()), option.WithoutAuthentication(),
		option.WithTelemetryDisabled(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, err = c.Publish(ctx, &pb.PublishRequest{Topic: topic, Messages: []*pb.PubsubMessage{m}})
	return err
}

// The deadline is longer than the shortest one, because the emulator stands still for seconds on a
// busy machine, and then gives what it lent to others.
func (e emulator) harness() *harness {
	h := newHarness(e)
	h.options.AckDeadline = 20 * time.Second
	h.pace.Patience, h.pace.Operation = 60*time.Second, 3*time.Second
	return h
}

// pausing is a harness whose server can be frozen.
type pausing struct {
	*harness

	process *brokertest.Process
}

func (p pausing) Pause(context.Context) error  { return p.process.Pause() }
func (p pausing) Resume(context.Context) error { return p.process.Resume() }

// notOnEmulator are the cases that the emulator's defects break, by the test that shows the defect
// without Leat. They run on pstest.
func notOnEmulator() map[string]string {
	const (
		order  = "TestEmulatorOrderOfGiveBacks"
		spread = "TestEmulatorSpreadsKeys"
		flow   = "TestEmulatorHasNoFlowControl" // so a client that is isolated gets half of what comes again
	)
	return map[string]string{
		"close-in-transit": order, "order-after-crash": order, "whole-restarts-in-peace": order, "whole-order-group-changes": order,
		"whole-given-back-comes-again": order, "whole-cut-redelivers": order, "whole-drain-during-retry": order,
		"whole-no-overlap": spread, "quiesce-settles": spread, "drain-awaits-release": spread,
		"isolated-late-settlements": flow, "isolated-lease-ends-first": flow, "isolated-close-takes-nothing": flow,
		"whole-isolated-holder": flow,
	}
}

var docs = filepath.Join("..", "..", "docs")

// TestEmulatorConforms runs the suite on Google's emulator, as committed.Conforms says.
func TestEmulatorConforms(t *testing.T) {
	e := emulator{brokertest.StartPubSub(t, nil)}
	committed.Conforms(t, pausing{e.harness(), e.Process}, &eventtest.Options{}, docs, "gcppubsub-emulator",
		"Google's Pub/Sub emulator "+brokertest.PubSubVersion, notOnEmulator())
}

// nowhere are the cases that neither server can show, and why.
func nowhere() map[string]string {
	return map[string]string{
		"history":                           "Pub/Sub keeps nothing for groups that are declared later",
		"lag":                               "Pub/Sub has no call that tells it",
		"browse":                            "Pub/Sub shows nothing without lending it",
		"browse-takes-nothing":              "Pub/Sub shows nothing without lending it",
		"whole-attempts-are-not-deliveries": "Pub/Sub counts deliveries only with a dead-letter topic, which breaks order",
	}
}

// TestEveryCaseRuns on one of both servers at least, and fails on neither.
func TestEveryCaseRuns(t *testing.T) {
	passed := map[string]bool{}
	for _, adapter := range []string{"gcppubsub-emulator", "gcppubsub-pstest", "gcppubsub-unordered"} {
		text, err := os.ReadFile(filepath.Join(docs, "conformance", adapter+".json"))
		require.NoError(t, err)
		var report eventtest.Report
		require.NoError(t, json.Unmarshal(text, &report))
		for _, r := range report.Results {
			require.NotEqual(t, eventtest.Failed, r.Status, "%s: %s", adapter, r.Case)
			passed[r.Case] = passed[r.Case] || r.Status == eventtest.Passed
		}
	}
	for _, c := range eventtest.Cases() {
		why := nowhere()[c.Name]
		require.NotEqual(t, why != "", passed[c.Name], "%s, which neither shows: %q", c.Name, why)
	}
}
