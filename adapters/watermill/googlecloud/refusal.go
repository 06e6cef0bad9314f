package googlecloud

import (
	"context"
	"errors"

	"cloud.google.com/go/pubsub/v2"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/grpc/status"
)

// refused returns the code of an error of a publish after which the message is certainly not
// stored, and 0 for every other, whose outcome is unknown.
func refused(err error) leat.Code {
	if own, ok := errors.AsType[*leat.Error](err); ok { // of the Marshaler
		return own.Code
	}
	paused := pubsub.ErrPublishingPaused{}
	switch {
	case errors.Is(err, wmgoogle.ErrPublisherClosed):
		return leat.CodeClosed
	case errors.Is(err, pubsub.ErrOversizedMessage):
		return leat.CodeTooLarge
	case errors.As(err, &paused): // an earlier message of the key has failed meanwhile; the next goes out
		return leat.CodeUnavailable
	}
	return googlepubsub.Refused(uint32(status.Code(cause(err))))
}

// cause returns the error in err that has a status of gRPC, or err.
func cause(err error) error {
	var own interface{ GRPCStatus() *status.Status }
	if errors.As(err, &own) {
		return own.GRPCStatus().Err()
	}
	return err
}

// failed makes the error of every call but a publish.
func failed(op, topic string, err error) error {
	if err == nil {
		return nil
	}
	code := googlepubsub.Refused(uint32(status.Code(cause(err))))
	own, found := errors.AsType[*leat.Error](err)
	switch {
	case found:
		code = own.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = fault.Code(err)
	case errors.Is(err, wmgoogle.ErrTopicDoesNotExist), errors.Is(err, wmgoogle.ErrSubscriptionDoesNotExist):
		code = leat.CodeNotFound
	case errors.Is(err, wmgoogle.ErrUnexpectedTopic):
		code = leat.CodeConflict
	case code == 0:
		code = leat.CodeUnavailable
	}
	return &leat.Error{Op: op, Topic: topic, Code: code, Err: err}
}
