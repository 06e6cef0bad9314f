package gcppubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/googleapis/gax-go/v2/apierror"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// publishCode says what an answer to a publish means: the events are certainly not stored, or
// [leat.CodeUnknown].
func publishCode(c codes.Code) leat.Code {
	return cmp.Or(googlepubsub.Refused(uint32(c)), leat.CodeUnknown)
}

// callCode says what an answer to any other call means.
func callCode(c codes.Code) leat.Code {
	switch c {
	case codes.Canceled:
		return leat.CodeCanceled
	case codes.AlreadyExists:
		return leat.CodeConflict
	default:
		return cmp.Or(googlepubsub.Refused(uint32(c)), leat.CodeUnavailable)
	}
}

// codeOf classifies an error of the client for everything but the outcome of a publish.
func codeOf(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	if s, ok := status.FromError(err); ok && err != nil {
		return callCode(s.Code())
	}
	return fault.Code(err)
}

// fail makes the error of a call.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), explain(err))
}

// explain makes the error that users see of one of the client: what Pub/Sub says, and what to do
// about it where waiting does not help.
func explain(err error) error {
	if _, own := errors.AsType[*leat.Error](err); own || err == nil {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	advice := ""
	switch s.Code() {
	case codes.PermissionDenied:
		advice = "; docs/gcppubsub.md lists the permissions"
	case codes.Unauthenticated: // its text may be that of the credentials, with paths and answers of token servers
		return &explained{"there is no token for Pub/Sub, or Pub/Sub does not accept it" + reasonOf(err) + "; correct the application " +
			"default credentials, or those of Options.ClientOptions", err}
	case codes.ResourceExhausted:
		advice = "; a quota of the project is used up, or a request is too large"
	}
	return &explained{fmt.Sprintf("Pub/Sub says %v: %s%s", s.Code(), reason(s.Message()), advice), err}
}

// reasonOf returns the word for what is wrong that only Google's servers give.
func reasonOf(err error) string {
	if said, ok := apierror.FromError(err); ok && said.Reason() != "" {
		return " (" + reason(said.Reason()) + ")"
	}
	return ""
}

// explained is an error with another text.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() error { return e.err }

const mostReasonBytes = 300

// reason returns what a server said, in one line that is not too long.
func reason(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > mostReasonBytes {
		text = strings.ToValidUTF8(text[:mostReasonBytes], "") + "…"
	}
	return text
}

// entryErrors returns the error of each ack id of a request that failed. With exactly-once delivery
// Pub/Sub names those that failed, and what it does not name then has succeeded.
func entryErrors(ids []string, err error) []error {
	each := map[string]string{}
	if said, ok := apierror.FromError(err); ok {
		each = said.Metadata()
	}
	named := slices.ContainsFunc(ids, func(id string) bool { return each[id] != "" })
	whole := fault.Fail(context.Background(), "settle", "", codeOf(err), explain(err))
	errs := make([]error, len(ids))
	for i, id := range ids {
		switch what, ok := each[id]; {
		case !ok && named:
		case !ok, strings.HasPrefix(what, "TRANSIENT_"):
			errs[i] = whole
		default: // PERMANENT_FAILURE_INVALID_ACK_ID, for one
			errs[i] = &leat.Error{Op: "settle", Code: leat.CodeLeaseLost, Err: fmt.Errorf("Pub/Sub says %s", reason(what))}
		}
	}
	return errs
}
