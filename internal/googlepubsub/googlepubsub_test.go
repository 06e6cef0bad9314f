package googlepubsub_test

import (
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/googlepubsub"
	"github.com/stretchr/testify/assert"
)

// TestRefused has the numbers of gRPC's codes. The adapters test their names.
func TestRefused(t *testing.T) {
	t.Parallel()
	want := map[uint32]leat.Code{
		3: leat.CodeInvalid, 5: leat.CodeNotFound, 7: leat.CodePermissionDenied, 8: leat.CodeExhausted, 9: leat.CodeInvalid,
		11: leat.CodeInvalid, 12: leat.CodeUnsupported, 16: leat.CodeUnauthenticated,
	}
	for code := range uint32(18) {
		assert.Equal(t, want[code], googlepubsub.Refused(code), code)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "orders.placed", googlepubsub.Name("orders.placed"))
	assert.Equal(t, "orders.placed_billing", googlepubsub.Name("orders.placed", "billing"))
	for _, name := range []string{"ab", "7up", "google", strings.Repeat("a", 256)} {
		is := googlepubsub.Name(name)
		assert.Regexp(t, `^[a-z].*-[0-9a-f]{8}$`, is)
		assert.LessOrEqual(t, len(is), 255)
	}
}

func TestOrderingKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", googlepubsub.MostKeyBytes)
	assert.Equal(t, long, googlepubsub.OrderingKey(long))
	assert.Len(t, googlepubsub.OrderingKey(long+"k"), 64)
}
