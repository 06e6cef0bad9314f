package awssnssqs

import (
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
)

// message is an event as it is sent.
type message struct {
	body       string
	attributes []attribute // at most 4 beside the trace context, none empty
	group      string      // the message group id: the key where that is legal, else a hash; never empty
	keyed      bool        // the event has a key
	size       int         // as SQS counts it: body, and names, types and values of attributes
}

// attribute is a message attribute of type String.
type attribute struct{ name, value string }

// encode makes a message of an event. trace may be nil. The error says why the event cannot be
// sent.
func (b *Broker) encode(e leat.Event, trace *leat.TraceContext, m *message) error {
	body, err := e.AppendJSON(nil)
	m.body, m.group, m.keyed, m.size = string(body), e.Key(), e.Key() != "", len(body)
	return err
}

// decode makes a delivery of a received message, without its lease, and returns the size that
// counts against MaxInFlightBytes.
func (b *Broker) decode(m *types.Message, d *leat.Delivery) (size int) {
	e, err := leat.ParseEvent([]byte(*m.Body))
	if err != nil {
		d.Malformed = &leat.Malformed{Body: []byte(*m.Body), Reason: err}
		return d.Malformed.Size()
	}
	d.Event = e
	return e.Size()
}
