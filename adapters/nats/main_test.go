package nats_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
	"go.uber.org/goleak"
)

// TestMain also checks that no goroutine is left when all tests have closed what they opened.
func TestMain(m *testing.M) {
	brokertest.Main(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
