package awsstub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// topic is one topic of SNS. The lock of the server guards it.
type topic struct {
	arn           string
	fifo          bool
	attributes    map[string]string // what was set
	tags          map[string]string
	subscriptions []*subscription
	sent          map[string]*duplicate // by deduplication id, within its scope
}

type subscription struct {
	arn, queue string // its ARN
	attributes map[string]string
}

func (t *topic) most() int {
	if n, err := strconv.Atoi(t.attributes["MaximumMessageSize"]); err == nil {
		return n
	}
	return snsBytes
}

// doSNS runs an action whose arguments are a form.
func (s *Server) doSNS(action string, in values) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch action {
	case "CreateTopic":
		return s.createTopic(in)
	case "ListTopics":
		var all []fields
		for arn := range s.topics {
			all = append(all, fields{{"TopicArn", arn}})
		}
		return fields{{"Topics", all}}, nil
	}
	t, ok := s.topics[arnOfTopic(in)]
	if !ok {
		return nil, &problem{"NotFound", "Topic does not exist", 404}
	}
	attributes := in.table("Attributes.entry", "key", "value")
	switch action {
	case "DeleteTopic":
		delete(s.topics, t.arn)
		return fields{}, nil
	case "GetTopicAttributes":
		all := map[string]string{"TopicArn": t.arn, "FifoTopic": strconv.FormatBool(t.fifo)}
		maps.Copy(all, t.attributes)
		return fields{{"Attributes", all}}, nil
	case "SetTopicAttributes":
		t.attributes[in["AttributeName"]] = in["AttributeValue"]
		return fields{}, nil
	case "TagResource":
		maps.Copy(t.tags, in.table("Tags.member", "Key", "Value"))
		return fields{}, nil
	case "ListTagsForResource":
		var all []fields
		for key, value := range t.tags {
			all = append(all, fields{{"Key", key}, {"Value", value}})
		}
		return fields{{"Tags", all}}, nil
	case "Subscribe":
		return t.subscribe(in, attributes)
	case "ListSubscriptionsByTopic":
		var all []fields
		for _, sub := range t.subscriptions {
			all = append(all, fields{{"SubscriptionArn", sub.arn}, {"TopicArn", t.arn}, {"Protocol", "sqs"}, {"Endpoint", sub.queue}})
		}
		return fields{{"Subscriptions", all}}, nil
	case "Unsubscribe", "GetSubscriptionAttributes", "SetSubscriptionAttributes":
		return t.subscribed(action, in)
	case "Publish":
		return s.publishOne(t, in)
	case "PublishBatch":
		return s.publishBatch(t, in)
	}
	return nil, invalid("InvalidAction", action)
}

// arnOfTopic returns the ARN of the topic that a request is about. That of a subscription begins
// with it.
func arnOfTopic(in values) string {
	for _, name := range []string{"TopicArn", "TargetArn", "ResourceArn"} {
		if in[name] != "" {
			return in[name]
		}
	}
	arn := in["SubscriptionArn"]
	return arn[:max(strings.LastIndex(arn, ":"), 0)]
}

func (s *Server) createTopic(in values) (any, error) {
	name := in["Name"]
	attributes, tags := in.table("Attributes.entry", "key", "value"), in.table("Tags.member", "Key", "Value")
	base, fifo := strings.CutSuffix(name, ".fifo")
	if len(name) > 256 || base == "" || strings.Trim(base, topicCharacters) != "" || fifo != (attributes["FifoTopic"] == "true") {
		return nil, invalid("InvalidParameter", "Invalid parameter: Topic Name")
	}
	arn := "arn:aws:sns:" + Region + ":" + Account + ":" + name
	if t := s.topics[arn]; t != nil {
		for key, value := range attributes {
			if t.attributes[key] != value {
				return nil, invalid("InvalidParameter", "Invalid parameter: Attributes Reason: Topic already exists with different attributes")
			}
		}
		for key, value := range tags {
			if t.tags[key] != value {
				return nil, invalid("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags")
			}
		}
	} else {
		s.topics[arn] = &topic{arn: arn, fifo: fifo, attributes: attributes, tags: tags, sent: map[string]*duplicate{}}
	}
	return fields{{"TopicArn", arn}}, nil
}

const topicCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (t *topic) subscribe(in values, attributes map[string]string) (any, error) {
	if in["Protocol"] != "sqs" {
		return nil, invalid("InvalidParameter", "Invalid parameter: the stub knows the protocol sqs only")
	}
	if !t.fifo && strings.HasSuffix(in["Endpoint"], ".fifo") {
		return nil, invalid("InvalidParameter", "Invalid parameter: FIFO queues cannot be subscribed to standard topics")
	}
	for _, sub := range t.subscriptions {
		if sub.queue != in["Endpoint"] {
			continue
		}
		if !maps.Equal(sub.attributes, attributes) {
			return nil, invalid("InvalidParameter", "Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
		}
		return fields{{"SubscriptionArn", sub.arn}}, nil
	}
	sub := &subscription{fmt.Sprintf("%s:%d", t.arn, len(t.subscriptions)), in["Endpoint"], attributes}
	t.subscriptions = append(t.subscriptions, sub)
	return fields{{"SubscriptionArn", sub.arn}}, nil
}

// subscribed does something with a subscription that exists.
func (t *topic) subscribed(action string, in values) (any, error) {
	for i, sub := range t.subscriptions {
		if sub.arn != in["SubscriptionArn"] {
			continue
		}
		switch action {
		case "Unsubscribe":
			t.subscriptions = append(t.subscriptions[:i:i], t.subscriptions[i+1:]...)
		case "SetSubscriptionAttributes":
			sub.attributes[in["AttributeName"]] = in["AttributeValue"]
		default:
			all := map[string]string{"SubscriptionArn": sub.arn, "TopicArn": t.arn, "Protocol": "sqs", "Endpoint": sub.queue}
			all["RawMessageDelivery"] = "false"
			maps.Copy(all, sub.attributes)
			return fields{{"Attributes", all}}, nil
		}
		return fields{}, nil
	}
	return nil, &problem{"NotFound", "Subscription does not exist", 404}
}

func (s *Server) publishOne(t *topic, in values) (any, error) {
	answer, p := s.publish(t, in)
	if p != nil {
		return nil, p
	}
	return answer, nil
}

func (s *Server) publishBatch(t *topic, in values) (any, error) {
	entries := in.list("PublishBatchRequestEntries.member")
	total, ids := 0, make([]string, 0, len(entries))
	for _, e := range entries {
		total += size(e["Message"], snsAttributes(e))
		ids = append(ids, e["Id"])
	}
	if p := checkBatch(ids); p != nil {
		return nil, p
	}
	if total > t.most() {
		return nil, invalid("BatchRequestTooLong", "The batch request is longer than the maximum of the topic.")
	}
	var good, bad []fields
	for _, e := range entries {
		p := s.entryFault("PublishBatch")
		var answer fields
		if p == nil {
			answer, p = s.publish(t, e)
		}
		id := fields{{"Id", e["Id"]}}
		if p != nil {
			bad = append(bad, append(id, fields{{"Code", p.code}, {"Message", p.message}, {"SenderFault", strconv.FormatBool(p.sender())}}...))
			continue
		}
		good = append(good, append(id, answer...))
	}
	return fields{{"Successful", good}, {"Failed", bad}}, nil
}

func snsAttributes(in values) map[string]attribute {
	all := map[string]attribute{}
	for _, one := range in.list("MessageAttributes.entry") {
		a := attribute{DataType: one["Value.DataType"]}
		if text, ok := one["Value.StringValue"]; ok {
			a.StringValue = &text
		} else {
			a.BinaryValue, _ = base64.StdEncoding.DecodeString(one["Value.BinaryValue"])
		}
		all[one["Name"]] = a
	}
	return all
}

// publish delivers a message to the queues of a topic.
func (s *Server) publish(t *topic, in values) (fields, *problem) {
	e := &entry{
		MessageBody: in["Message"], MessageAttributes: snsAttributes(in),
		MessageGroupId: in["MessageGroupId"], MessageDeduplicationId: in["MessageDeduplicationId"],
	}
	switch {
	case e.MessageBody == "":
		return nil, invalid("InvalidParameter", "Invalid parameter: Empty message")
	case size(e.MessageBody, e.MessageAttributes) > t.most():
		return nil, invalid("InvalidParameter", "Invalid parameter: Message too long")
	case t.fifo && e.MessageGroupId == "":
		return nil, invalid("InvalidParameter", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics")
	case t.fifo && e.MessageDeduplicationId == "":
		return nil, invalid("InvalidParameter", "Invalid parameter: The topic needs a MessageDeduplicationId")
	}
	for _, id := range []string{e.MessageGroupId, e.MessageDeduplicationId} {
		if id != "" && !identifier.MatchString(id) {
			return nil, invalid("InvalidParameter", "Invalid parameter: it can only include alphanumeric and punctuation characters")
		}
	}
	for name, a := range e.MessageAttributes {
		if a.StringValue != nil && *a.StringValue == "" {
			return nil, invalid("ParameterValueInvalid", "The message attribute '"+name+"' must contain a non-empty value.")
		}
	}
	d := &duplicate{s.now(), fmt.Sprintf("sns-%d", s.next()), s.next()}
	if t.fifo {
		scope := e.MessageDeduplicationId
		if t.attributes["FifoThroughputScope"] == "MessageGroup" {
			scope = e.MessageGroupId + "\x00" + scope
		}
		if before := t.sent[scope]; before != nil && d.at.Sub(before.at) < dedupFor {
			return published(t, before), nil
		}
		t.sent[scope] = d
	}
	for _, sub := range t.subscriptions {
		s.deliver(t, sub, d, *e)
	}
	return published(t, d), nil
}

func published(t *topic, d *duplicate) fields {
	answer := fields{{"MessageId", d.id}}
	if t.fifo {
		answer = append(answer, fields{{"SequenceNumber", fmt.Sprintf("%020d", d.sequence)}}...)
	}
	return answer
}

// deliver sends a message to a queue. What the queue refuses is gone, and nobody is told: a message
// with 11 attributes, or any where no policy lets the topic send.
func (s *Server) deliver(t *topic, sub *subscription, d *duplicate, e entry) {
	q := s.queues[sub.queue[strings.LastIndex(sub.queue, ":")+1:]]
	if q == nil || !q.permits(t.arn) {
		return
	}
	if t.fifo && !q.fifo {
		e.MessageGroupId, e.MessageDeduplicationId = "", ""
	}
	if sub.attributes["RawMessageDelivery"] != "true" {
		e.MessageBody, e.MessageAttributes = envelope(t, d, &e), nil
	}
	_, _ = q.store(&e)
}

// permits reports whether the policy of a queue lets a topic send to it.
func (q *queue) permits(topic string) bool {
	var policy struct {
		Statement []struct {
			Effect    string
			Action    any
			Condition map[string]map[string]any
		}
	}
	if json.Unmarshal([]byte(q.attributes["Policy"]), &policy) != nil {
		return false
	}
	allowed := false
	for _, st := range policy.Statement {
		applies := has(st.Action, "sqs:SendMessage", "SQS:SendMessage", "sqs:*", "SQS:*", "*")
		for _, condition := range st.Condition {
			if source, ok := condition["aws:SourceArn"]; ok {
				applies = applies && has(source, topic)
			}
		}
		if applies && st.Effect == "Deny" {
			return false
		}
		allowed = allowed || applies && st.Effect == "Allow"
	}
	return allowed
}

// has reports whether a text, or one of several, is among those that are wanted.
func has(value any, wanted ...string) bool {
	all, ok := value.([]any)
	if !ok {
		all = []any{value}
	}
	for _, one := range all {
		for _, w := range wanted {
			if one == w {
				return true
			}
		}
	}
	return false
}

// envelope is the body of a message whose subscription is not raw.
func envelope(t *topic, d *duplicate, e *entry) string {
	type property struct{ Type, Value string }
	properties := map[string]property{}
	for name, a := range e.MessageAttributes {
		if a.StringValue != nil {
			properties[name] = property{a.DataType, *a.StringValue}
		} else {
			properties[name] = property{a.DataType, base64.StdEncoding.EncodeToString(a.BinaryValue)}
		}
	}
	text, _ := json.Marshal(map[string]any{ //nolint:errchkjson // texts only
		"Type": "Notification", "MessageId": d.id, "TopicArn": t.arn, "Message": e.MessageBody,
		"Timestamp": d.at.UTC().Format(time.RFC3339Nano), "MessageAttributes": properties,
	})
	return string(text)
}
