package gcppubsub

import (
	"context"
	"errors"
	"slices"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat/adapterkit/publish"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// request is a request to publish.
type request struct {
	message *pb.PublishRequest
	batch   []*publish.Entry[parcel] // its events
	begun   bool
}

// gate begins the events of a request when it has a connection and a token. gRPC asks for
// credentials before it writes anything, and for these after those of the client. So what waits for
// a token can be withdrawn, and is not unknown.
type gate struct{}

var _ credentials.PerRPCCredentials = gate{}

// GetRequestMetadata implements [credentials.PerRPCCredentials]. ctx is that of the call.
func (gate) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	r, ok := ctx.Value(gate{}).(*request)
	switch {
	case !ok || r.begun: // it is another call, or goes once more since the connection took nothing
		return map[string]string{}, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return map[string]string{}, r.begin()
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (gate) RequireTransportSecurity() bool { return false }

// newRequest returns a request with the events of a batch.
func newRequest(topic string, batch []*publish.Entry[parcel]) *request {
	r := &request{message: &pb.PublishRequest{Topic: topic}, batch: batch}
	r.write()
	return r
}

// write makes the events the messages of the request: protobuf writes fields that it does not know
// as they are.
func (r *request) write() {
	size := 0
	for _, e := range r.batch {
		size += len(e.Value.raw)
	}
	messages := make(protoreflect.RawFields, 0, size)
	for _, e := range r.batch {
		messages = append(messages, e.Value.raw...)
	}
	r.message.ProtoReflect().SetUnknown(messages)
}

// begin begins the events, and leaves out those that have their outcome. gRPC writes the request
// after that.
func (r *request) begin() error {
	r.begun = true
	all := len(r.batch)
	r.batch = slices.DeleteFunc(r.batch, func(e *publish.Entry[parcel]) bool { return !e.Begin() })
	switch len(r.batch) {
	case 0:
		return errWithdrawn
	case all:
	default:
		r.write()
	}
	return nil
}

var errWithdrawn = errors.New("all events of the request were withdrawn")
