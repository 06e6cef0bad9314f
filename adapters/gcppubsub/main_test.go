package gcppubsub_test

import (
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { brokertest.MainChecked(m, func() error { return goleak.Find() }) }
