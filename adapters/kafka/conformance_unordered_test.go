package kafka_test

import (
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

func TestKafkaConformsUnordered(t *testing.T) {
	eventtest.TestAdapter(t, newHarness(t, 1), committed.Unordered())
}
