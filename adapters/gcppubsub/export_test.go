package gcppubsub

import (
	"cmp"

	pb "cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// CodesOf returns what a code of gRPC means for a publish that was sent, for one of which nothing
// has left, and for any other call.
func CodesOf(c codes.Code) (sent, unsent, call leat.Code) {
	err := status.Error(c, "")
	return leat.CodeOf(outcome(true, err)), leat.CodeOf(outcome(false, err)), codeOf(err)
}

// Encode returns the message of an event.
func Encode(e leat.Event, trace *leat.TraceContext) (*pb.PubsubMessage, error) {
	raw, err := newEncoder().encode(e, googlepubsub.OrderingKey(e.Key()), trace, false)
	if err != nil {
		return nil, err
	}
	var r pb.PublishRequest
	if err := proto.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return r.GetMessages()[0], nil
}

// Decode returns the delivery of a message.
func Decode(m *pb.ReceivedMessage) leat.Delivery {
	raw, err := proto.Marshal(m)
	d, wrong := DecodeRaw(raw)
	if err = cmp.Or(err, wrong); err != nil {
		return leat.Delivery{Malformed: &leat.Malformed{Reason: err}}
	}
	return d
}

// DecodeRaw is Decode for a message as it comes.
func DecodeRaw(raw []byte) (d leat.Delivery, err error) {
	c := decoder{topic: "orders"}
	m, err := c.parse(raw)
	if err == nil {
		c.decode(m, &d)
	}
	return d, err
}

// EntryErrors returns the codes of ack ids after a request that failed.
func EntryErrors(ids []string, err error) (all []leat.Code) {
	for _, err := range entryErrors(ids, err) {
		all = append(all, leat.CodeOf(err))
	}
	return all
}
