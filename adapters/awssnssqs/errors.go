package awssnssqs

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
)

// codes says what the error codes of SNS and SQS mean, without the suffix Exception.
var codes = map[string]leat.Code{
	"QueueDoesNotExist": leat.CodeNotFound, "NonExistentQueue": leat.CodeNotFound, "NotFound": leat.CodeNotFound,
	"ResourceNotFound": leat.CodeNotFound, "QueueDeletedRecently": leat.CodeConflict,
	"QueueNameExists": leat.CodeConflict, "QueueAlreadyExists": leat.CodeConflict,

	"Throttling": leat.CodeExhausted, "Throttled": leat.CodeExhausted, "RequestThrottled": leat.CodeExhausted,
	"ThrottledRequest": leat.CodeExhausted, "TooManyRequests": leat.CodeExhausted, "OverLimit": leat.CodeExhausted,
	"KmsThrottled": leat.CodeExhausted, "KMSThrottling": leat.CodeExhausted, "SlowDown": leat.CodeExhausted,
	"RequestLimitExceeded": leat.CodeExhausted, "TopicLimitExceeded": leat.CodeExhausted,
	"SubscriptionLimitExceeded": leat.CodeExhausted, "FilterPolicyLimitExceeded": leat.CodeExhausted,

	"AccessDenied": leat.CodePermissionDenied, "AuthorizationError": leat.CodePermissionDenied,
	"NotAuthorized": leat.CodePermissionDenied, "InvalidSecurity": leat.CodePermissionDenied, "KmsAccessDenied": leat.CodePermissionDenied,
	"KMSAccessDenied": leat.CodePermissionDenied, "OptInRequired": leat.CodePermissionDenied,

	"InvalidClientTokenId": leat.CodeUnauthenticated, "UnrecognizedClient": leat.CodeUnauthenticated,
	"SignatureDoesNotMatch": leat.CodeUnauthenticated, "InvalidSignature": leat.CodeUnauthenticated,
	"IncompleteSignature": leat.CodeUnauthenticated, "MissingAuthenticationToken": leat.CodeUnauthenticated,
	"MissingAuthentication": leat.CodeUnauthenticated, "ExpiredToken": leat.CodeUnauthenticated,
	"InvalidAccessKeyId": leat.CodeUnauthenticated, "RequestExpired": leat.CodeUnauthenticated,
	"RequestTimeTooSkewed": leat.CodeUnauthenticated, "AuthFailure": leat.CodeUnauthenticated,

	"BatchRequestTooLong": leat.CodeTooLarge, "RequestEntityTooLarge": leat.CodeTooLarge, "MessageTooLong": leat.CodeTooLarge,
	"UnsupportedOperation": leat.CodeUnsupported, "InvalidAction": leat.CodeUnsupported, "UnknownOperation": leat.CodeUnsupported,

	"InvalidMessageContents": leat.CodeInvalid, "InvalidParameter": leat.CodeInvalid, "InvalidParameterValue": leat.CodeInvalid,
	"ParameterValueInvalid": leat.CodeInvalid, "InvalidParameterCombination": leat.CodeInvalid, "MissingParameter": leat.CodeInvalid,
	"InvalidAttributeName": leat.CodeInvalid, "InvalidAttributeValue": leat.CodeInvalid, "InvalidAddress": leat.CodeInvalid,
	"InvalidBatchEntryId": leat.CodeInvalid, "Validation": leat.CodeInvalid, "ValidationError": leat.CodeInvalid,

	"ReceiptHandleIsInvalid": leat.CodeLeaseLost, "MessageNotInflight": leat.CodeLeaseLost,
	"InvalidReceiptHandle": leat.CodeLeaseLost,

	"KmsDisabled": leat.CodeUnavailable, "KMSDisabled": leat.CodeUnavailable, "KmsInvalidState": leat.CodeUnavailable,
	"KMSInvalidState": leat.CodeUnavailable, "KmsNotFound": leat.CodeNotFound, "KMSNotFound": leat.CodeNotFound,
	"KmsOptInRequired": leat.CodePermissionDenied, "KMSOptInRequired": leat.CodePermissionDenied,
	"KmsInvalidKeyUsage": leat.CodeInvalid,

	"UnknownError":  leat.CodeUnknown, // what answers is not AWS
	"InternalError": leat.CodeUnknown, "InternalFailure": leat.CodeUnknown, "InternalServerError": leat.CodeUnknown,
	"ServiceUnavailable": leat.CodeUnknown, "RequestTimeout": leat.CodeUnknown,
}

// shortCode is an error code as the table has it: servers put a namespace before it, and some
// Exception behind.
func shortCode(code string) string {
	code = code[strings.LastIndexAny(code, "#.")+1:]
	return strings.TrimSuffix(code, "Exception")
}

// answered returns what an error code of an answer says. server says that the service is at fault.
// Of a code that is not in the table, a request of which the service blames the sender is refused,
// and nobody knows whether another one would be.
func answered(code, text string, server bool) leat.Code {
	c, ok := codes[shortCode(code)]
	switch {
	case ok && c == leat.CodeInvalid && isTooLong(text):
		return leat.CodeTooLarge
	case ok:
		return c
	case server:
		return leat.CodeUnknown
	}
	return leat.CodeUnavailable
}

// isTooLong reports whether the text of an invalid parameter says that a message is too large, for
// which neither SNS nor SQS has a code.
func isTooLong(text string) bool {
	return strings.Contains(text, "Message too long") || strings.Contains(text, "Message must be shorter than")
}

// strange is the error of an entry that was refused by a code that is not in the table.
type strange struct{ text string }

func (s *strange) Error() string { return s.text }

// isStrange reports whether a request or an entry was refused by a code that is not in the table.
func isStrange(err error) bool {
	if _, entry := errors.AsType[*strange](err); entry {
		return true
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || isServerFault(err, api) {
		return false
	}
	_, known := codes[shortCode(api.ErrorCode())]
	return !known
}

// codeOf classifies an error of the SDK for everything but the outcome of a publish.
func codeOf(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if code := answered(api.ErrorCode(), api.ErrorMessage(), isServerFault(err, api)); code != leat.CodeUnknown {
			return code
		}
		return leat.CodeUnavailable
	}
	if isLogin(err) && !isOutage(err) {
		return leat.CodeUnauthenticated
	}
	return fault.Code(err)
}

// publishCode classifies the error of a request with events: refused, or [leat.CodeUnknown].
func publishCode(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	if isLogin(err) { // what answers is the service that logs in, if any
		if code := codeOf(err); code != leat.CodeCanceled {
			return code
		}
		return leat.CodeUnavailable
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return answered(api.ErrorCode(), api.ErrorMessage(), isServerFault(err, api))
	}
	if isUnsent(err) {
		return leat.CodeUnavailable
	}
	return leat.CodeUnknown
}

// isServerFault reports whether a service says that an error is its own fault.
func isServerFault(err error, api smithy.APIError) bool {
	var status interface{ HTTPStatusCode() int }
	return api.ErrorFault() == smithy.FaultServer || errors.As(err, &status) && status.HTTPStatusCode() >= 500
}

// isLogin reports whether the SDK has no credentials to sign a request with.
func isLogin(err error) bool {
	op, ok := errors.AsType[*smithy.OperationError](err)
	return ok && (strings.Contains(op.Err.Error(), "failed to retrieve credentials") ||
		strings.Contains(op.Err.Error(), "get identity") || strings.Contains(op.Err.Error(), "failed to sign"))
}

// isOutage reports whether nobody has answered a request for credentials, which refuses nothing.
// Where the metadata service of EC2 does not answer, there are no credentials: it is only there.
func isOutage(err error) bool {
	_, broken := errors.AsType[*net.OpError](err)
	_, unanswered := errors.AsType[*smithyhttp.RequestSendError](err)
	timeout, ok := errors.AsType[net.Error](err)
	lost := broken || unanswered || ok && timeout.Timeout()
	return fault.Code(err) == leat.CodeCanceled || lost && !strings.Contains(err.Error(), "ec2imds")
}

// unsent is the error of a request that had no connection, such as one whose time was over before.
type unsent struct{ err error }

func (u *unsent) Error() string { return "no connection: " + u.err.Error() }

func (u *unsent) Unwrap() error { return u.err }

// isUnsent reports whether no byte of a request has left, since there is no connection.
func isUnsent(err error) bool {
	_, never := errors.AsType[*unsent](err)
	return never || isDial(err) || fault.IsUntrusted(err)
}

// isDial reports whether nobody could be reached.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// fail makes the error of a call.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), explain(err))
}

// explain makes the error that users see of one of the SDK: what AWS says, and what to do about it
// where waiting does not help. Without the request's ids, and without the account, the signature
// and the names of principals that answers have.
func explain(err error) error {
	if _, own := errors.AsType[*leat.Error](err); own || err == nil {
		return err
	}
	what, advice := reason(err), ""
	switch codeOf(err) {
	case leat.CodeUnauthenticated:
		advice = "; correct the credentials that the SDK's default chain finds, the region, or this machine's clock"
	case leat.CodePermissionDenied:
		advice = "; docs/awssnssqs.md lists the permissions, and those of a key of KMS"
	case leat.CodeExhausted:
		advice = "; AWS throttles this account or queue, or too many messages are in flight"
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		what = op.ServiceID + " " + op.OperationName + ": " + what
	}
	return &explained{what + advice, err}
}

// explained is an error with another text.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() error { return e.err }

// secret is what answers have that does not belong into a log: numbers of accounts, principals.
var secret = regexp.MustCompile(`arn:[^\s"']+|\b[0-9]{12}\b`)

func masked(text string) string { return secret.ReplaceAllString(text, "…") }

const notAWS = "the answer is not one of AWS; correct the endpoint (endpoint=, AWS_ENDPOINT_URL) if that stays so"

// reason says what went wrong.
func reason(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code := shortCode(api.ErrorCode())
		if code == "UnknownError" { // there is no code
			return notAWS
		}
		text := masked(api.ErrorMessage())
		if text == "" || codes[code] == leat.CodeUnauthenticated { // which may quote the signature
			return code
		}
		return code + ": " + text
	}
	if isLogin(err) {
		if isOutage(err) {
			return "nobody has given the SDK its credentials in time"
		}
		return "the SDK has no credentials"
	}
	if canceled, ok := errors.AsType[*smithy.CanceledError](err); ok {
		return canceled.Err.Error()
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return notAWS
	}
	if sent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		if u, ok := errors.AsType[*url.Error](sent.Err); ok { // whose text has the URL
			return u.Err.Error()
		}
		return sent.Err.Error()
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}
