package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// codeOf classifies an error of the client or of a broker for everything but the outcome of a
// publish.
func codeOf(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own.Code // whatever it wraps
	}
	if kafkaErr, ok := errors.AsType[*kerr.Error](err); ok {
		return kafkaCode(kafkaErr)
	}
	if errors.Is(err, kgo.ErrClientClosed) {
		return leat.CodeClosed
	}
	return fault.Code(err)
}

// isDial reports whether err comes from connecting.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// kafkaCode classifies a broker's error code.
func kafkaCode(err *kerr.Error) leat.Code {
	switch err {
	case kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.GroupIDNotFound, kerr.ResourceNotFound:
		return leat.CodeNotFound
	case kerr.MessageTooLarge, kerr.RecordListTooLarge:
		return leat.CodeTooLarge
	case kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.DelegationTokenAuthorizationFailed:
		return leat.CodePermissionDenied
	case kerr.SaslAuthenticationFailed, kerr.IllegalSaslState, kerr.UnsupportedSaslMechanism, kerr.DelegationTokenAuthDisabled,
		kerr.DelegationTokenNotFound, kerr.DelegationTokenExpired, kerr.UnacceptableCredential:
		return leat.CodeUnauthenticated
	case kerr.InvalidTopicException, kerr.InvalidRecord, kerr.InvalidConfig, kerr.InvalidPartitions, kerr.InvalidReplicationFactor,
		kerr.PolicyViolation, kerr.InvalidTimestamp, kerr.InvalidGroupID, kerr.InvalidRequest, kerr.InvalidSessionTimeout,
		kerr.InvalidRequiredAcks, kerr.InvalidFetchSize, kerr.InvalidReplicaAssignment, kerr.InvalidRegularExpression,
		kerr.InvalidTransactionTimeout:
		return leat.CodeInvalid
	case kerr.UnsupportedVersion, kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType, kerr.InconsistentGroupProtocol,
		kerr.UnsupportedAssignor, kerr.SecurityDisabled, kerr.TopicDeletionDisabled, kerr.UnsupportedEndpointType,
		kerr.MismatchedEndpointType:
		return leat.CodeUnsupported
	case kerr.FencedInstanceID, kerr.UnreleasedInstanceID, kerr.NonEmptyGroup, kerr.GroupSubscribedToTopic,
		kerr.TopicAlreadyExists, kerr.ProducerFenced, kerr.InvalidProducerEpoch:
		return leat.CodeConflict
	case kerr.GroupMaxSizeReached, kerr.ThrottlingQuotaExceeded:
		return leat.CodeExhausted
	}
	return leat.CodeUnavailable
}

// fail makes the error of an operation, without what a broker says about a login.
func fail(ctx context.Context, op, topic string, err error) error {
	return fault.Fail(ctx, op, topic, codeOf(err), discreet(err))
}

// fail makes the error of an operation that asked the cluster. Where that has run out of time, what
// was wrong with the last connection says more.
func (b *Broker) fail(ctx context.Context, op, topic string, err error) error {
	last := b.conns.last()
	if errors.Is(err, errSilent) && ctx.Err() == nil {
		b.conns.failed("", err) // the client says so later, or never
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = withLast(err, last)
	}
	return fail(ctx, op, topic, err)
}

// withLast adds to an error what was wrong with the last connection, unless that is nil or in its
// text.
func withLast(err, last error) error {
	if last == nil || strings.Contains(err.Error(), last.Error()) {
		return err
	}
	return fmt.Errorf("%w; the last connection: %v", err, discreet(last)) //nolint:errorlint // err says what kind it is
}
