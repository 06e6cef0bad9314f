package rabbitmq_test

import (
	"testing"

	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/conformance/committed"
)

func TestRabbitMQConformsUnordered(t *testing.T) {
	eventtest.TestAdapter(t, newHarness(t), committed.Unordered())
}
