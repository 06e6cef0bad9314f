package universal_test

import (
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
)

func TestMain(m *testing.M) {
	brokertest.AnyLogin()
	brokertest.Main(m)
}
