package watermill_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	wm "github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
	"github.com/stretchr/testify/require"
)

var _ eventtest.Injector = (*goChannelHarness)(nil)

// goChannelHarness runs the suite on gochannel, which has neither order nor durability nor groups;
// Groups gives it those.
type goChannelHarness struct {
	pubSub *gochannel.GoChannel
	groups *watermill.Groups
	topics atomic.Int64
}

func newGoChannelHarness(t *testing.T) *goChannelHarness {
	t.Helper()
	h := &goChannelHarness{pubSub: gochannel.NewGoChannel(gochannel.Config{}, wm.NopLogger{})}
	h.groups = watermill.NewGroups(h.pubSub)
	t.Cleanup(func() {
		require.NoError(t, h.groups.Close())
		require.NoError(t, h.pubSub.Close())
	})
	return h
}

func (h *goChannelHarness) Open(context.Context) (leat.Broker, error) {
	return watermill.New(h.pubSub, nil, &watermill.Options{
		NewSubscriber: h.groups.Subscriber, Inline: true, KeepOpen: true, Codec: watermill.Codec{Strict: true},
	})
}

func (h *goChannelHarness) Topic() string { return fmt.Sprintf("topic-%d", h.topics.Add(1)) }

// Inject publishes a message that is no CloudEvent. Watermill has no key, so it travels as the
// metadata that is one.
func (h *goChannelHarness) Inject(_ context.Context, topic string, m leat.Malformed) error {
	raw := message.NewMessage(wm.NewUUID(), m.Body)
	for _, header := range m.Headers {
		raw.Metadata.Set(header.Name, string(header.Value))
	}
	raw.Metadata.Set("ce_partitionkey", string(m.Key))
	return h.pubSub.Publish(topic, raw)
}

// TestGoChannelConforms runs the suite on Leat over Watermill's gochannel, with the capabilities
// that it has: none. Two cases count the goroutines of the process, where gochannel itself has
// three for each message that waits in it and one for each subscription of a group; they are left
// out, and TestNothingIsLeft looks at what the Broker leaves.
func TestGoChannelConforms(t *testing.T) {
	var cases []string
	for _, c := range eventtest.Cases() {
		if c.Name != "nothing-leaks" && c.Name != "whole-nothing-leaks" {
			cases = append(cases, c.Name)
		}
	}
	report := eventtest.TestAdapter(t, newGoChannelHarness(t), &eventtest.Options{Only: cases})
	report.Adapter, report.Broker = "watermill", "gochannel of Watermill 1.5.2, which promises no order"
	committed.Check(t, filepath.Join("..", "..", "docs"), &report)
}
