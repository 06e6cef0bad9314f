package awssnssqs

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
)

const (
	contentType = "content-type"
	// textType is the only type of attribute that Leat writes.
	textType = "String"
	// mostAttributes is how many a message of Leat has: four that filter policies can use, and the
	// trace context. SQS takes 10, and SNS discards a raw delivery of more without telling anyone.
	mostAttributes = 6
	// mostFilterBytes is how long the text of an attribute for filter policies may be.
	mostFilterBytes = 1 << 10

	receiveCount = types.MessageSystemAttributeNameApproximateReceiveCount
	messageGroup = types.MessageSystemAttributeNameMessageGroupId
	sentAt       = types.MessageSystemAttributeNameSentTimestamp
)

// binding is how other libraries write attributes: neither AWS nor CloudEvents has a binding for
// SNS and SQS. Names of attributes have letters, digits, '-', '_' and '.'.
func binding() wire.Binding {
	return wire.Binding{Prefix: "ce-", AnyPrefix: true, ContentType: contentType, Empty: "leat-data"}
}

// message is an event as it is sent, in structured mode. All of it are characters that SQS takes:
// AppendJSON writes others as base64 or with escapes, and attributes of an event cannot have them.
type message struct {
	body       string
	attributes []attribute // at most mostAttributes, none empty
	group      string      // the message group id: the key where that is legal, else a hash; never empty
	keyed      bool        // the event has a key
	size       int         // as AWS counts it: body, and names, types and values of attributes
}

// attribute is a message attribute of type String.
type attribute struct{ name, value string }

// encode makes a message of an event. trace may be nil. The error says why the event cannot be
// sent.
func (b *Broker) encode(e leat.Event, trace *leat.TraceContext, m *message) error {
	body, err := e.AppendJSON(make([]byte, 0, e.Size()+e.Size()/8+256))
	if err != nil {
		return err
	}
	*m = message{body: string(body), group: groupID(e.Key()), keyed: e.Key() != "", size: len(body)}
	m.attributes = make([]attribute, 0, mostAttributes)
	m.add(contentType, wire.StructuredType)
	if b.o.Mode != ModeSQS { // SNS alone has filter policies
		m.addFilter("ce-type", e.Type())
		m.addFilter("ce-source", e.Source())
		m.addFilter("ce-subject", e.Subject())
	}
	if trace != nil {
		m.add(wire.TraceParent, trace.Parent)
		m.add(wire.TraceState, trace.State)
	}
	return nil
}

func (m *message) add(name, value string) {
	if value == "" { // which AWS refuses
		return
	}
	m.attributes = append(m.attributes, attribute{name, value})
	m.size += len(name) + len(textType) + len(value)
}

func (m *message) addFilter(name, value string) {
	if len(value) <= mostFilterBytes {
		m.add(name, value)
	}
}

// forSQS returns the attributes as SQS takes them.
func (m *message) forSQS() map[string]types.MessageAttributeValue {
	return valuesOf(m, func(kind, value *string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: kind, StringValue: value}
	})
}

// forSNS returns the attributes as SNS takes them.
func (m *message) forSNS() map[string]snstypes.MessageAttributeValue {
	return valuesOf(m, func(kind, value *string) snstypes.MessageAttributeValue {
		return snstypes.MessageAttributeValue{DataType: kind, StringValue: value}
	})
}

func valuesOf[V any](m *message, of func(kind, value *string) V) map[string]V {
	all, kind := make(map[string]V, len(m.attributes)), aws.String(textType)
	for i := range m.attributes {
		all[m.attributes[i].name] = of(kind, &m.attributes[i].value)
	}
	return all
}

// wanted are the system attributes that decode reads. Of message attributes it reads all.
func (b *Broker) wanted() []types.MessageSystemAttributeName {
	names := []types.MessageSystemAttributeName{receiveCount, messageGroup}
	if b.o.Mapping != nil {
		names = append(names, sentAt)
	}
	return names
}

// decode makes a delivery of a received message, without its lease, and returns the size that
// counts against MaxInFlightBytes.
func (b *Broker) decode(topic string, m *types.Message, d *leat.Delivery) (size int) {
	d.Position = leat.Position{ID: aws.ToString(m.MessageId)}
	d.Deliveries, _ = strconv.Atoi(m.Attributes[string(receiveCount)])
	c := content{body: []byte(aws.ToString(m.Body))}
	size = len(c.body) + wire.Excess(len(m.MessageAttributes))
	for name, v := range m.MessageAttributes {
		size += len(name) + len(aws.ToString(v.StringValue)) + len(v.BinaryValue)
	}
	key := keyOf(m.Attributes[string(messageGroup)])
	inner, structured := &c, isStructured(m.MessageAttributes)
	var err error
	if structured {
		d.Event, err = leat.ParseEvent(c.body)
		d.Trace = traceOf(m.MessageAttributes)
	}
	if !structured || err != nil {
		c.headers = headersOf(m.MessageAttributes)
	}
	if !structured {
		d.Event, d.Trace, err = read(&inner)
	}
	if err != nil && b.o.Mapping != nil {
		d.Event, err = b.o.Mapping.Event(foreign.Message{
			Topic: topic, ID: d.Position.ID, Position: d.Position, Time: timeOf(m.Attributes[string(sentAt)]), Key: key,
			Headers: inner.headers, ContentType: wire.Find(inner.headers, contentType), Body: inner.body, Properties: inner.properties, Err: err,
		})
	}
	if err != nil {
		d.Event = leat.Event{}
		d.Malformed = &leat.Malformed{Headers: c.headers, Key: key, Body: c.body, Reason: err}
		return max(size, d.Malformed.Size())
	}
	if d.Event.Key() == "" {
		d.Key = string(key)
	}
	return max(size, d.Event.Size())
}

// isStructured reports whether attributes are those of a message of Leat, so that only the body
// needs to be read.
func isStructured(attributes map[string]types.MessageAttributeValue) bool {
	return aws.ToString(attributes[contentType].StringValue) == wire.StructuredType
}

func traceOf(attributes map[string]types.MessageAttributeValue) *leat.TraceContext {
	parent := aws.ToString(attributes[wire.TraceParent].StringValue)
	if parent == "" {
		return nil
	}
	var trace wire.Trace
	trace.Add(wire.TraceParent, []byte(parent))
	if state := attributes[wire.TraceState].StringValue; state != nil {
		trace.Add(wire.TraceState, []byte(*state))
	}
	return trace.Context()
}

// headersOf returns attributes sorted by name, since the client has them in a map.
func headersOf(attributes map[string]types.MessageAttributeValue) []leat.Header {
	if len(attributes) == 0 {
		return nil
	}
	return wire.Sorted(nil, attributes, func(v types.MessageAttributeValue) []byte {
		if v.StringValue != nil {
			return []byte(*v.StringValue)
		}
		return v.BinaryValue
	})
}

// timeOf returns the time that milliseconds since 1970 are, or the zero time.
func timeOf(ms string) time.Time {
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}
