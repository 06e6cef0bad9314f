package main

import (
	"net/url"
	"testing"

	"cloud.google.com/go/pubsub/v2/pstest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
)

func pubSubAt(address string) string {
	return "gcppubsub://leat?" + url.Values{"endpoint": {"http://" + address}, "ack_deadline": {"10s"}}.Encode()
}

// TestPubSub runs the program on Google's emulator, with nothing changed but the URL.
func TestPubSub(t *testing.T) {
	inOneProcess(t, pubSubAt(brokertest.StartPubSub(t, nil).Addr()), "one")
}

// TestPubSubInSeveralProcesses runs it on the fake of Google's module as several processes. The
// emulator breaks order when a consumer dies: later events of a key go to the other consumer at
// once, and those that the dead one had come behind them. TestEmulatorOrderAfterTheEndOfAStream of
// adapters/gcppubsub shows that. The fake delivers 85 messages a second on a stream, so there are
// fewer events than on real brokers.
func TestPubSubInSeveralProcesses(t *testing.T) {
	s := pstest.NewServer()
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	killSharing(t, pubSubAt(s.Addr), "many", 10)
}
