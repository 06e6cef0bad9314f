package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/stretchr/testify/assert"
)

// TestDoubtStays: an event whose first request has no answer may be stored, whatever AWS says about
// the repeated request. One that AWS has always throttled is certainly not stored.
func TestDoubtStays(t *testing.T) {
	t.Parallel()
	const action = "SendMessageBatch"
	lost := awsstub.Fault{Action: action, Lose: true, Times: 1}
	open := awsstub.Fault{Action: action, PerEntry: true, Code: "InternalError", Server: true, Times: 1}
	for name, c := range map[string]struct {
		faults []awsstub.Fault
		want   leat.Code
	}{
		"an answer is lost, then throttled":  {[]awsstub.Fault{lost, {Action: action, Code: "Throttling"}}, leat.CodeUnknown},
		"an answer is lost, then forbidden":  {[]awsstub.Fault{lost, {Action: action, Code: "AccessDenied"}}, leat.CodeUnknown},
		"an answer is lost, then no queue":   {[]awsstub.Fault{lost, {Action: action, Code: "QueueDoesNotExist"}}, leat.CodeUnknown},
		"an answer is lost, then an entry":   {[]awsstub.Fault{lost, {Action: action, PerEntry: true, Code: "AccessDenied"}}, leat.CodeUnknown},
		"an entry is open, then an entry":    {[]awsstub.Fault{open, {Action: action, PerEntry: true, Code: "Throttling"}}, leat.CodeUnknown},
		"an entry is throttled all the time": {[]awsstub.Fault{{Action: action, PerEntry: true, Code: "Throttling"}}, leat.CodeExhausted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS, DeliveryTimeout: 1500 * time.Millisecond})
			for _, f := range c.faults {
				s.server.Break(f)
			}
			for _, err := range s.publish(s.events(1, 1)) {
				assert.Equal(t, c.want, leat.CodeOf(err), "%v", err)
			}
		})
	}
}
