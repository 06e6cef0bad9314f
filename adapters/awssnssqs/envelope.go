package awssnssqs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/leatgo/leat/foreign"
)

// content is what a message has to say: its own body and attributes, or what SNS has wrapped.
type content struct {
	body       []byte
	headers    []leat.Header
	properties map[string]string // of SNS; nil without its envelope
}

// attributes reads a message by its attributes.
func (c *content) attributes() (leat.Event, *leat.TraceContext, error) {
	var r wire.Reader
	r.Begin(binding(), len(c.headers))
	for _, h := range c.headers {
		if h.Name == "contentType" { // as libraries for .NET write it
			h.Name = contentType
		}
		r.Add(h.Name, h.Value)
	}
	e, err := r.Event(c.body)
	return e, r.Trace(), err
}

func isPlain(err error) bool { return errors.Is(err, foreign.ErrPlain) }

// read returns the event and the trace context of a message, or why it has no event. It replaces c
// by what SNS has wrapped.
func read(c **content) (leat.Event, *leat.TraceContext, error) {
	e, trace, err := (*c).attributes()
	if !isPlain(err) {
		return e, trace, err
	}
	f := fieldsOf((*c).body)
	if f.isSNS() { // which wraps once
		*c = f.unwrap()
		if e, trace, err = (*c).attributes(); !isPlain(err) {
			return e, trace, err
		}
		f = fieldsOf((*c).body)
	}
	switch {
	case f["specversion"] != nil:
		e, err = leat.ParseEvent((*c).body)
	case f.isEventBridge():
		e, err = f.eventBridge()
	}
	return e, trace, err
}

// fields are the members of a JSON object, nil where a body is something else.
type fields map[string]json.RawMessage

func fieldsOf(body []byte) (f fields) {
	if json.Unmarshal(body, &f) != nil {
		return nil
	}
	return f
}

// text returns a member that is a string, "" where it is not.
func (f fields) text(name string) (s string) {
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// isSNS reports whether the members are those of an envelope that SNS writes for subscriptions
// without raw delivery.
func (f fields) isSNS() bool {
	return f.text("Type") == "Notification" && f.text("TopicArn") != "" && f.text("Message") != ""
}

// unwrap returns what SNS has wrapped, with the attributes of the envelope.
func (f fields) unwrap() *content {
	type value struct {
		Type  string `json:"Type"`
		Value string `json:"Value"`
	}
	var attributes map[string]value
	m := &content{body: []byte(f.text("Message")), properties: map[string]string{}}
	if json.Unmarshal(f["MessageAttributes"], &attributes) == nil && len(attributes) > 0 {
		m.headers = wire.Sorted(nil, attributes, func(v value) []byte {
			if b, err := base64.StdEncoding.DecodeString(v.Value); err == nil && v.Type == "Binary" {
				return b
			}
			return []byte(v.Value)
		})
	}
	for _, name := range [...]string{"TopicArn", "MessageId", "Subject", "Timestamp"} {
		if s := f.text(name); s != "" {
			m.properties[name] = s
		}
	}
	return m
}

// isEventBridge reports whether the members are those of an envelope of EventBridge.
func (f fields) isEventBridge() bool {
	return f.text("version") != "" && f.text("id") != "" && f.text("source") != "" &&
		f.text("detail-type") != "" && f["detail"] != nil
}

// eventBridge returns the event of an envelope of EventBridge. A detail that is a CloudEvent is the
// event. Otherwise detail becomes the data and detail-type the type; id, source and time keep their
// names, account and region become extensions, and the resource becomes the subject where there is
// only one.
func (f fields) eventBridge() (leat.Event, error) {
	detail := f["detail"]
	if fieldsOf(detail)["specversion"] != nil {
		return leat.ParseEvent(detail)
	}
	attributes := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")}, {Name: "datacontenttype", Value: []byte("application/json")},
	}
	add := func(name, value string) {
		if value != "" {
			attributes = append(attributes, leat.Header{Name: name, Value: []byte(value)})
		}
	}
	add("id", f.text("id"))
	add("source", f.text("source"))
	add("type", f.text("detail-type"))
	add("time", f.text("time"))
	add("awsaccount", f.text("account"))
	add("awsregion", f.text("region"))
	var resources []string
	if json.Unmarshal(f["resources"], &resources) == nil && len(resources) == 1 {
		add("subject", resources[0])
	}
	e, err := new(leat.Decoder).Decode(attributes, detail)
	if err != nil {
		return leat.Event{}, fmt.Errorf("an event of EventBridge that cannot be a CloudEvent: %w; %w", err, foreign.ErrPlain)
	}
	return e, nil
}
