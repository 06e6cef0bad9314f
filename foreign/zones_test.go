package foreign_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/require"
)

var errNested = errors.New("the time is wrong")

// TestNestedZones: brackets within brackets name no zone, and however many there are, they cost no
// stack, whose overflow ends the process.
func TestNestedZones(t *testing.T) {
	t.Parallel()
	for _, n := range []int{8 << 20, 2} {
		zone := strings.Repeat("[", n) + "GMT" + strings.Repeat("]", n)
		_, err := foreign.Lenient(nil)(foreign.Message{
			Topic: "t", ContentType: "application/cloudevents+json", Err: errNested,
			Body: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","time":"2024-11-28T10:15:30` + zone + `"}`),
		})
		require.ErrorIs(t, err, errNested)
	}
}
