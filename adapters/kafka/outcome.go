package kafka

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
)

// outcome makes the outcome of a publish of the client's answer. An error is a refusal only when it
// says for certain that no broker has stored the event: the code must mean that, and no request may
// have been lost or answered with an open outcome since the event was taken, because an earlier try
// of this one may have been among them.
func (p *publisher) outcome(r *record, err error) error {
	code := refusal(err)
	if code != leat.CodeUnknown && p.conns.doubts.Load() != r.doubts {
		code, err = leat.CodeUnknown, fmt.Errorf("an earlier try may have been stored: %w", err)
	}
	return &leat.Error{Code: code, Err: discreet(err)}
}

// refusal returns the code of an error that says that the event was not stored, and CodeUnknown for
// all others.
func refusal(err error) leat.Code {
	kafkaErr, ok := errors.AsType[*kerr.Error](err)
	if !ok && isRefusedLogin(err) {
		return codeOf(err)
	}
	if !ok {
		return leat.CodeUnknown
	}
	switch kafkaErr {
	case kerr.UnknownTopicOrPartition, kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidTopicException,
		kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.PolicyViolation, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
		kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState,
		kerr.UnsupportedForMessageFormat, kerr.UnsupportedCompressionType, kerr.NotEnoughReplicas, kerr.UnsupportedVersion,
		kerr.ThrottlingQuotaExceeded, kerr.CorruptMessage:
		return kafkaCode(kafkaErr)
	}
	return leat.CodeUnknown
}
