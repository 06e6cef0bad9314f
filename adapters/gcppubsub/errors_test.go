package gcppubsub_test

import (
	"testing"

	"github.com/googleapis/gax-go/v2/apierror"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/gcppubsub"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// meaning is what a code of gRPC means for a publish that was sent, for one of which nothing has
// left, and for any other call.
type meaning struct{ sent, unsent, call leat.Code }

// TestCodes: every code of gRPC but OK.
func TestCodes(t *testing.T) {
	t.Parallel()
	same := func(c leat.Code) meaning { return meaning{c, c, c} }
	unknown := meaning{leat.CodeUnknown, leat.CodeUnavailable, leat.CodeUnavailable}
	table := map[codes.Code]meaning{
		codes.Canceled:           {leat.CodeUnknown, leat.CodeUnavailable, leat.CodeCanceled},
		codes.Unknown:            unknown,
		codes.InvalidArgument:    same(leat.CodeInvalid),
		codes.DeadlineExceeded:   unknown,
		codes.NotFound:           same(leat.CodeNotFound),
		codes.AlreadyExists:      {leat.CodeUnknown, leat.CodeUnavailable, leat.CodeConflict},
		codes.PermissionDenied:   same(leat.CodePermissionDenied),
		codes.ResourceExhausted:  same(leat.CodeExhausted),
		codes.FailedPrecondition: same(leat.CodeInvalid),
		codes.Aborted:            unknown,
		codes.OutOfRange:         same(leat.CodeInvalid),
		codes.Unimplemented:      same(leat.CodeUnsupported),
		codes.Internal:           unknown,
		codes.Unavailable:        unknown,
		codes.DataLoss:           unknown,
		codes.Unauthenticated:    same(leat.CodeUnauthenticated),
	}
	require.Len(t, table, 16)
	for code, want := range table {
		var is meaning
		is.sent, is.unsent, is.call = gcppubsub.CodesOf(code)
		assert.Equal(t, want, is, code)
	}
}

// TestExactlyOnceSaysWhichLeasesAreLost: with exactly-once delivery an error has the fate of each
// ack id.
func TestExactlyOnceSaysWhichLeasesAreLost(t *testing.T) {
	t.Parallel()
	said, err := status.New(codes.FailedPrecondition, "some ack ids").WithDetails(&errdetails.ErrorInfo{Metadata: map[string]string{
		"lost": "PERMANENT_FAILURE_INVALID_ACK_ID", "later": "TRANSIENT_FAILURE_OTHER",
	}})
	require.NoError(t, err)
	wrapped, ok := apierror.FromError(said.Err())
	require.True(t, ok)
	assert.Equal(t, []leat.Code{leat.CodeLeaseLost, leat.CodeInvalid, leat.CodeOf(nil)},
		gcppubsub.EntryErrors([]string{"lost", "later", "other"}, wrapped), "what is not named has succeeded")
	assert.Equal(t, []leat.Code{leat.CodeInvalid, leat.CodeInvalid},
		gcppubsub.EntryErrors([]string{"one", "other"}, wrapped), "the error is not about single ids")
}
