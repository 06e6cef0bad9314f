package kafka

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestCodes compares what becomes of each of Kafka's error codes with the table in testdata, which
// somebody has thought about: the code that a user sees, what it means for a publish, and what a
// member of a group does about it. A new code of the client needs a line.
func TestCodes(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("testdata/codes.txt")
	require.NoError(t, err)
	var got strings.Builder
	s := &Stream{member: 1, broker: &Broker{o: Options{Hosts: []string{"127.0.0.1:1"}}}}
	for code := int16(-1); code < 1000; code++ {
		err := kerr.TypedErrorForCode(code)
		if err == nil || err.Code != code {
			continue
		}
		publish := "unknown"
		if c := refusal(err); err.Retriable {
			publish = "again, then " + c.String()
		} else if c != 0 {
			publish = c.String()
		}
		member := "tries again"
		if errors.Is(err, kerr.InvalidSessionTimeout) || s.verdict(err) != nil { // the first asks the cluster for its limits
			member = "ends"
		}
		fmt.Fprintf(&got, "%4d  %-42s  %-18s  %-30s  %s\n", code, err.Message, codeOf(err), publish, member)
	}
	lines := strings.SplitAfter(string(table), "\n")
	head := 0
	for strings.HasPrefix(lines[head], "#") {
		head++
	}
	assert.Equal(t, strings.Join(lines[head:], ""), got.String())
}
