package awssnssqs

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/eventgen"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// isCarried reports whether SQS takes a text: the characters of XML 1.0, and at least one.
func isCarried(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	}) < 0 && strings.ToValidUTF8(s, "") == s
}

// received is a message as SQS delivers what was sent.
func received(m *message) *types.Message {
	return &types.Message{
		MessageId: aws.String("id"), Body: &m.body, MessageAttributes: m.forSQS(),
		Attributes: map[string]string{"ApproximateReceiveCount": "3", "MessageGroupId": m.group, "SentTimestamp": "1700000000000"},
	}
}

// TestDecodeIsTheInverseOfEncode holds for any event, and all of it is what SQS can carry.
func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	t.Parallel()
	trace := &leat.TraceContext{Parent: traceParent, State: "a=b"}
	err := eventgen.Batches(2_000, 64, func(_ eventgen.Generator, events []leat.Event, where string) {
		for i, e := range events {
			b := &Broker{o: Options{Mode: Mode(i % 3)}}
			var m message
			require.NoError(t, b.encode(e, trace, &m), where)
			checkCarried(t, b, e, &m)
			var d leat.Delivery
			size := b.decode("topic", received(&m), &d)
			require.Nil(t, d.Malformed, where)
			require.True(t, d.Event.Equal(e), "%s, event %d:\n%v\n%v", where, i, d.Event, e)
			assert.GreaterOrEqual(t, size, e.Size())
			assert.Empty(t, d.Key, "the event has its key, and one without a key has none")
			assert.Equal(t, trace, d.Trace)
			assert.Equal(t, 3, d.Deliveries)
			assert.Equal(t, leat.Position{ID: "id"}, d.Position)
		}
	})
	require.NoError(t, err)
}

func checkCarried(t *testing.T, b *Broker, e leat.Event, m *message) {
	t.Helper()
	require.True(t, isCarried(m.body), "the body of %v", e)
	require.LessOrEqual(t, len(m.attributes), mostAttributes)
	size, names := len(m.body), map[string]string{}
	for _, a := range m.attributes {
		require.True(t, isCarried(a.value), "the attribute %s of %v", a.name, e)
		size += len(a.name) + len("String") + len(a.value)
		names[a.name] = a.value
	}
	assert.Len(t, names, len(m.attributes))
	assert.Equal(t, size, m.size)
	assert.True(t, legalGroupID(m.group), m.group)
	assert.Equal(t, e.Key() != "", m.keyed)
	filters := b.o.Mode != ModeSQS
	for name, value := range map[string]string{"ce-type": e.Type(), "ce-source": e.Source(), "ce-subject": e.Subject()} {
		_, there := names[name]
		assert.Equal(t, filters && value != "" && len(value) <= mostFilterBytes, there, name)
		assert.True(t, !there || names[name] == value)
	}
}

// TestLargestEventFits: data that base64 makes larger by a third, and every attribute besides.
func TestLargestEventFits(t *testing.T) {
	t.Parallel()
	for _, most := range []int{16 << 10, snsMessageBytes, sqsMessageBytes} {
		b := &Broker{o: Options{MaxMessageBytes: most}}
		trace := &leat.TraceContext{Parent: traceParent, State: strings.Repeat("x", 512)}
		headers := []leat.Header{{Name: "specversion", Value: []byte("1.0")}, {Name: "id", Value: []byte("1")}}
		for _, name := range []string{"source", "type", "subject"} {
			headers = append(headers, leat.Header{Name: name, Value: []byte(strings.Repeat("x", mostFilterBytes))})
		}
		e, err := new(leat.Decoder).Decode(headers, nil)
		require.NoError(t, err)
		e = e.WithData("application/octet-stream", bytes.Repeat([]byte{0xff}, b.o.mostEventBytes()-e.Size()-len("application/octet-stream")))
		var m message
		require.NoError(t, b.encode(e, trace, &m))
		assert.LessOrEqual(t, m.size, most)
		assert.Len(t, m.attributes, mostAttributes)
		require.NoError(t, b.encode(e.WithSubject(strings.Repeat("x", mostFilterBytes+1)), trace, &m))
		assert.Len(t, m.attributes, mostAttributes-1, "no filter policy is about such a long text")
	}
}

func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}

// attributes makes message attributes of names and values.
func attributes(pairs ...string) map[string]types.MessageAttributeValue {
	all := map[string]types.MessageAttributeValue{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = text(pairs[i+1])
	}
	return all
}

func required(prefix string) map[string]types.MessageAttributeValue {
	return attributes(prefix+"specversion", "1.0", prefix+"id", "1", prefix+"source", "/s", prefix+"type", "t")
}

const (
	plainEvent  = `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}`
	awsInstance = `{"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"EC2 Instance State-change Notification",` +
		`"source":"aws.ec2","account":"111122223333","time":"2017-12-22T18:43:48Z","region":"us-west-1",` +
		`"resources":["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],"detail":{"state": "terminated"}}`
	// As Dapr's component pubsub.aws.snssqs publishes it, with a subscription that is not raw.
	daprEvent = `{"data":{"orderId":7},"datacontenttype":"application/json","id":"5929aaac-a5e2-4ca1-859c-edfe73f11565",` +
		`"pubsubname":"snssqs","source":"checkout","specversion":"1.0","time":"2026-09-23T06:23:21Z","topic":"orders",` +
		`"traceid":"00-113ad9c4e42b27583ae98ba698d54255-e3743e35ff56f219-01","traceparent":"` + traceParent + `","tracestate":"",` +
		`"type":"com.dapr.event.sent"}`
)

// notification is what SNS makes of a message for a subscription without raw delivery.
func notification(t *testing.T, message, attributes string) string {
	t.Helper()
	return `{"Type":"Notification","MessageId":"dc1e94d9-56c5-5e96-808d-cc7f68faa162",` +
		`"TopicArn":"arn:aws:sns:us-east-2:111122223333:orders","Subject":"order","Message":` + strconv.Quote(message) +
		`,"Timestamp":"2026-02-02T02:02:02.202Z","SignatureVersion":"1","Signature":"c2ln",` +
		`"SigningCertURL":"https://sns.us-east-2.amazonaws.com/x.pem","UnsubscribeURL":"https://sns.us-east-2.amazonaws.com/"` +
		attributes + `}`
}

// TestOthersMessages: what other libraries and services write.
func TestOthersMessages(t *testing.T) {
	t.Parallel()
	wrapped := notification(t, plainEvent, "")
	binary := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t"}
	for name, c := range map[string]struct {
		body       string
		attributes map[string]types.MessageAttributeValue
		want       string // id, source, type, content type, data
		trace      bool
	}{
		"bare JSON":                     {plainEvent, nil, `1 /s t  {"a":1}`, false},
		"JSON with the type, as .NET":   {plainEvent, attributes("contentType", "application/cloudevents+json"), `1 /s t  {"a":1}`, false},
		"JSON with the type, any case":  {plainEvent, attributes("Content-Type", "application/cloudevents+json"), `1 /s t  {"a":1}`, false},
		"binary":                        {"x", attributes(append(binary, "content-type", "text/plain")...), "1 /s t text/plain x", false},
		"binary of Kafka's spelling":    {"x", required("ce_"), "1 /s t  x", false},
		"binary of the SDKs' spelling":  {"x", required("cloudEvents_"), "1 /s t  x", false},
		"binary with a trace":           {"x", attributes(append(binary, "traceparent", traceParent)...), "1 /s t  x", true},
		"binary that looks like an SNS": {wrapped, attributes(binary...), "1 /s t  " + wrapped, false},
		"SNS of bare JSON":              {notification(t, plainEvent, ""), nil, `1 /s t  {"a":1}`, false},
		"SNS of binary": {notification(t, "x", `,"MessageAttributes":{"ce-specversion":{"Type":"String","Value":"1.0"},`+
			`"ce-id":{"Type":"Binary","Value":"MQ=="},"ce-source":{"Type":"String","Value":"/s"},"ce-type":{"Type":"String","Value":"t"},`+
			`"traceparent":{"Type":"String","Value":"`+traceParent+`"}}`), nil, "1 /s t  x", true},
		"Dapr": {notification(t, daprEvent, ""), nil,
			`5929aaac-a5e2-4ca1-859c-edfe73f11565 checkout com.dapr.event.sent application/json {"orderId":7}`, false},
		"EventBridge": {awsInstance, nil,
			`6a7e8feb-b491-4cf7-a9f1-bf3703467718 aws.ec2 EC2 Instance State-change Notification application/json {"state": "terminated"}`, false},
		"EventBridge through SNS": {notification(t, awsInstance, ""), nil,
			`6a7e8feb-b491-4cf7-a9f1-bf3703467718 aws.ec2 EC2 Instance State-change Notification application/json {"state": "terminated"}`, false},
		"EventBridge with an event": {strings.Replace(awsInstance, `{"state": "terminated"}`, plainEvent, 1), nil, `1 /s t  {"a":1}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d leat.Delivery
			m := &types.Message{MessageId: aws.String("id"), Body: &c.body, MessageAttributes: c.attributes}
			m.Attributes = map[string]string{"MessageGroupId": "group"}
			size := new(Broker).decode("topic", m, &d)
			require.Nil(t, d.Malformed)
			e := d.Event
			assert.Equal(t, c.want, strings.Join([]string{e.ID(), e.Source(), e.Type(), e.DataContentType(), e.DataString()}, " "))
			assert.Equal(t, "group", d.Key)
			assert.Equal(t, c.trace, d.Trace != nil)
			assert.GreaterOrEqual(t, size, len(c.body))
		})
	}
}

// TestEventBridgeAttributes: what has no attribute of its own in CloudEvents.
func TestEventBridgeAttributes(t *testing.T) {
	t.Parallel()
	var d leat.Delivery
	new(Broker).decode("topic", &types.Message{Body: aws.String(awsInstance)}, &d)
	account, _ := d.Event.Extension("awsaccount")
	region, _ := d.Event.Extension("awsregion")
	assert.Equal(t, []any{"111122223333", "us-west-1"}, []any{account, region})
	assert.Equal(t, "arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0", d.Event.Subject())
	assert.Equal(t, time.Date(2017, 12, 22, 18, 43, 48, 0, time.UTC), d.Event.Time())
	two := strings.Replace(awsInstance, `"resources":[`, `"resources":["arn:x",`, 1)
	d = leat.Delivery{}
	new(Broker).decode("topic", &types.Message{Body: &two}, &d)
	assert.Empty(t, d.Event.Subject(), "of two resources none is the subject")
}

// TestMalformed: what is not an event keeps its bytes, its attributes and its group.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body       string
		attributes map[string]types.MessageAttributeValue
		plain      bool
	}{
		"text":                       {"hello", nil, true},
		"JSON":                       {`{"order":7}`, attributes("b", "2", "a", "1"), true},
		"an event that breaks rules": {`{"specversion":"1.0","id":""}`, nil, false},
		"structured that is not":     {"hello", attributes("content-type", "application/cloudevents+json; charset=UTF-8", "a", "1"), false},
		"binary without an id":       {"x", attributes("ce-specversion", "1.0"), false},
		"SNS of text":                {notification(t, "hello", ""), nil, true},
		"SNS twice":                  {notification(t, notification(t, plainEvent, ""), ""), nil, true},
		"SNS of a broken event":      {notification(t, `{"specversion":"1.0"}`, ""), nil, false},
		"a confirmation of SNS":      {`{"Type":"SubscriptionConfirmation","TopicArn":"arn:x","Message":"m"}`, nil, true},
		"EventBridge, not a URI":     {strings.Replace(awsInstance, "aws.ec2", "my shop", 1), nil, true},
		"an S3 pointer":              {`["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &types.Message{MessageId: aws.String("id"), Body: &c.body, MessageAttributes: c.attributes}
			m.Attributes = map[string]string{"MessageGroupId": "group", "ApproximateReceiveCount": "2"}
			var d leat.Delivery
			size := new(Broker).decode("topic", m, &d)
			require.NotNil(t, d.Malformed)
			assert.Equal(t, c.body, string(d.Malformed.Body))
			assert.Equal(t, "group", string(d.Malformed.Key))
			assert.Len(t, d.Malformed.Headers, len(c.attributes))
			for i, h := range d.Malformed.Headers {
				assert.True(t, i == 0 || d.Malformed.Headers[i-1].Name < h.Name, "sorted")
			}
			assert.Equal(t, c.plain, isPlain(d.Malformed.Reason), "%v", d.Malformed.Reason)
			assert.GreaterOrEqual(t, size, d.Malformed.Size())
			assert.Equal(t, 2, d.Deliveries)
		})
	}
}

// TestMapping: it gets what SNS has wrapped, and everything that SQS and SNS tell.
func TestMapping(t *testing.T) {
	t.Parallel()
	var got foreign.Message
	b := &Broker{o: Options{Mapping: func(m foreign.Message) (leat.Event, error) {
		got = m
		return foreign.Plain(&foreign.PlainOptions{Type: "order", Source: "/legacy"})(m)
	}}}
	body := notification(t, "hello", `,"MessageAttributes":{"content-type":{"Type":"String","Value":"text/plain"}}`)
	var d leat.Delivery
	b.decode("topic", &types.Message{MessageId: aws.String("id"), Body: &body, Attributes: map[string]string{
		"MessageGroupId": "group", "SentTimestamp": "1700000000000",
	}}, &d)
	require.Nil(t, d.Malformed)
	assert.Equal(t, "hello", d.Event.DataString())
	assert.Equal(t, "text/plain", d.Event.DataContentType())
	assert.Equal(t, "id", d.Event.ID())
	assert.Equal(t, "group", d.Key)
	assert.Equal(t, "topic", got.Topic)
	assert.Equal(t, time.UnixMilli(1700000000000).UTC(), got.Time)
	assert.Equal(t, "arn:aws:sns:us-east-2:111122223333:orders", got.Properties["TopicArn"])
	assert.Equal(t, "order", got.Properties["Subject"])

	body = "x"
	d = leat.Delivery{}
	claim := attributes("content-type", "application/cloudevents+json; charset=UTF-8")
	b.decode("topic", &types.Message{Body: &body, MessageAttributes: claim}, &d)
	require.NotNil(t, d.Malformed, "what claims to be an event is not plain")
	assert.NotEmpty(t, got.Headers)
}

// FuzzDecode reads messages of any kind: no panic, the bytes of what is malformed stay as they are,
// and an event that is sent again comes back.
func FuzzDecode(f *testing.F) {
	const binary = "ce-specversion=1.0\nce-id=1\nce-source=/s\nce-type=t"
	const structured, batch = "contentType=application/cloudevents+json", "content-type=application/cloudevents-batch+json\n" + binary
	wrapped := `{"Type":"Notification","TopicArn":"a","Message":` + strconv.Quote(plainEvent) +
		`,"MessageAttributes":{"a":{"Type":"Binary","Value":"MQ=="}}}`
	for _, body := range []string{
		"", "x", plainEvent, awsInstance, daprEvent, wrapped, `{"Type":"Notification","TopicArn":"a","Message":"x"}`, "[" + plainEvent + "]",
	} {
		for _, lines := range []string{"", binary, binary + "\nce_a=1", structured, batch} {
			f.Add(body, lines, "group", "3")
		}
	}
	f.Fuzz(func(t *testing.T, body, lines, group, count string) {
		m := &types.Message{Body: &body, MessageAttributes: map[string]types.MessageAttributeValue{}}
		m.Attributes = map[string]string{"MessageGroupId": group, "ApproximateReceiveCount": count}
		for line := range strings.Lines(lines) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			m.MessageAttributes[name] = text(value)
		}
		b := new(Broker)
		var d leat.Delivery
		size := b.decode("topic", m, &d)
		if d.Malformed != nil {
			assert.True(t, d.Event.IsZero())
			assert.Equal(t, body, string(d.Malformed.Body))
			assert.GreaterOrEqual(t, size, d.Malformed.Size())
			return
		}
		require.NoError(t, d.Event.Validate())
		assert.GreaterOrEqual(t, size, d.Event.Size())
		var again message
		require.NoError(t, b.encode(d.Event, nil, &again))
		checkCarried(t, b, d.Event, &again)
		var twice leat.Delivery
		b.decode("topic", received(&again), &twice)
		require.Nil(t, twice.Malformed)
		assert.True(t, twice.Event.Equal(d.Event))
	})
}
