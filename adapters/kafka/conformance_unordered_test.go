package kafka_test

import (
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

func TestKafkaConformsUnordered(t *testing.T) {
	o := committed.Unordered(nil)
	o.Beside = []eventtest.Harness{newHarness(t, 1)}
	eventtest.TestAdapter(t, newHarness(t, 1), o)
}
