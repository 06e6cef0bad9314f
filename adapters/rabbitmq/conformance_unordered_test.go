package rabbitmq_test

import (
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

func TestRabbitMQConformsUnordered(t *testing.T) {
	o := committed.Unordered(nil)
	o.Beside = []eventtest.Harness{newHarness(t)}
	eventtest.TestAdapter(t, newHarness(t), o)
}
