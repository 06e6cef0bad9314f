package kafka

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome makes the outcome of a publish of the client's answer. An error is a refusal only when it
// says for certain that no broker has stored the event: the code must mean that, and no request may
// have been lost or answered with an open outcome since the event was taken, because an earlier try
// of this one may have been among them. A record without a partition has had no try.
func (p *publisher) outcome(r *record, err error) error {
	code := refusal(err)
	if code != leat.CodeUnknown && r.kafka.Partition != unpartitioned && p.conns.doubts.Load() != r.doubts {
		code, err = leat.CodeUnknown, fmt.Errorf("an earlier try may have been stored: %w", err)
	}
	switch {
	case errors.Is(err, kgo.ErrRecordTimeout):
		err = withLast(fmt.Errorf("no answer within the DeliveryTimeout of %v: %w", p.o.DeliveryTimeout, err), p.conns.last())
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("nobody has declared the topic yet; name it in ProducerOptions.Topics where it is published to, or call"+
			" leat.Declare (leat.Run declares what its consumers read): %w", err)
	}
	return &leat.Error{Code: code, Err: discreet(err)}
}

// unpartitioned is the Partition of a record that the client has not given one. The client does so
// before it puts the record into a batch, which is before it sends the record. It does not while it
// does not know the partitions of the topic, because the topic does not exist for instance.
const unpartitioned = -1

// readsPartition reports whether the partitioner of a client may read the partition that a record
// has before, as [kgo.ManualPartitioner] does. The one that the client has by itself does not.
func readsPartition(client *kgo.Client) bool {
	own := kgo.UniformBytesPartitioner(1, true, true, nil)
	return reflect.TypeOf(client.OptValue(kgo.RecordPartitioner)) != reflect.TypeOf(own)
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
