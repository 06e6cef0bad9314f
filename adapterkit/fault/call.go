package fault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/leatgo/leat"
)

// Code returns the code of an error that is not an error code of the broker: that of the
// [*leat.Error] in it; [leat.CodeUnauthenticated] where the broker refuses the client's
// certificate; [leat.CodeCanceled] where a context ended; and else [leat.CodeUnavailable], because
// what is left are connections that cannot be made, or that broke in one way or another.
func Code(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code
	}
	if IsCertificateAlert(err) {
		return leat.CodeUnauthenticated
	}
	_, isNet := errors.AsType[*net.OpError](err) // whose timeout looks like that of a context
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !isNet {
		return leat.CodeCanceled
	}
	return leat.CodeUnavailable
}

// IsUntrusted reports whether the client does not accept the broker: its certificate is not
// trusted, or what answers does not speak TLS.
func IsUntrusted(err error) bool {
	_, isCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	return isCert || isRecord
}

// IsAlert reports whether the broker ended the TLS handshake, as it does without a client
// certificate that it wants.
func IsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// certificateAlerts are the alerts that are about the client's certificate (RFC 8446, section 6.2).
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48, 116}

// IsCertificateAlert reports whether the broker does not accept the client's certificate, or misses
// one. The standard library does not export the type of an alert that comes from a connection, only
// that of QUIC, which has the same texts.
func IsCertificateAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && IsAlert(err) && slices.ContainsFunc(certificateAlerts, func(a tls.AlertError) bool { return a.Error() == op.Err.Error() })
}

// Fail makes the [*leat.Error] of a call. ctx is the caller's. When it has ended, the code is
// [leat.CodeCanceled] and the error wraps that of ctx, with err as the last thing that was wrong.
// Otherwise a [leat.CodeCanceled] was the end of the adapter's own timeout, in which nobody
// answered: it becomes [leat.CodeUnavailable]. An err that is itself an [*leat.Error] is not
// wrapped once more. A nil err stays nil, whatever the rest.
func Fail(ctx context.Context, op, topic string, code leat.Code, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		code = leat.CodeCanceled
		if !errors.Is(err, ctx.Err()) {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
	if code == leat.CodeCanceled && ctx.Err() == nil {
		code = leat.CodeUnavailable
	}
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: inner(err)}
}

// Errorf makes an [*leat.Error] of a text as [fmt.Errorf] does. An empty topic means that the call
// has none.
func Errorf(op, topic string, code leat.Code, format string, args ...any) error {
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: fmt.Errorf(format, args...)}
}

// inner returns what an outermost [*leat.Error] wraps.
func inner(err error) error {
	if own, ok := err.(*leat.Error); ok { //nolint:errorlint // only the outermost
		return own.Err
	}
	return err
}

// Join returns the only error of errs as it is, several joined, and nil where all are nil.
func Join(errs ...error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
