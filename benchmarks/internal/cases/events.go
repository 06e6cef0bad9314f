package cases

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/leatgo/leat"
)

// What every party's events carry.
const (
	eventSource      = "/shop/checkout"
	eventType        = "com.example.order.placed.v1"
	eventSubject     = "orders/4711"
	eventContentType = "application/json"
	topic            = "orders"
	group            = "billing"

	// distinctEvents are published in turn, more than are ever in flight, so that no event meets itself.
	distinctEvents = 10_000
)

// eventTime is a fixed time, so that every run writes the same bytes.
func eventTime() time.Time { return time.Date(2026, time.March, 1, 12, 30, 15, 123456789, time.UTC) }

// eventID returns an id of the length of a UUID.
func eventID(i int) string { return fmt.Sprintf("0190a3c4-7d1e-7000-8000-%012d", i) }

// eventKey returns the key of event i of a set with that many keys. Keys of all sets have the same length.
func eventKey(i, keys int) string { return fmt.Sprintf("customer-%07d", i%keys) }

// payload returns a JSON object of about 1 KiB.
func payload() []byte {
	var b strings.Builder
	b.WriteString(`{"order":"0190a3c4-7d1e-7000-8000-000000004711","customer":"customer-0000042","currency":"EUR","lines":[`)
	for i := 0; b.Len() < 950; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"sku":"SKU-` + strconv.Itoa(10000+i) + `","quantity":2,"price":1999,"text":"Blue mug, 300 ml"}`)
	}
	b.WriteString(`],"paid":true}`)
	return []byte(b.String())
}

// leatOptions returns the options of event i. An empty key leaves the event without one.
func leatOptions(i int, key string, data []byte) *leat.EventOptions {
	return &leat.EventOptions{
		ID: eventID(i), Source: eventSource, Subject: eventSubject, Time: eventTime(), DataContentType: eventContentType,
		Key: key, Data: data,
	}
}

// leatEvents returns n events. keys is how many keys they have, in turn; 0 means events without a key.
func leatEvents(n, keys int, data []byte) ([]leat.Event, error) {
	events := make([]leat.Event, n)
	for i := range events {
		key := ""
		if keys > 0 {
			key = eventKey(i, keys)
		}
		e, err := leat.NewEvent(eventType, leatOptions(i, key, data))
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

// newSDKEvent returns event i as the CloudEvents SDK builds it. It keeps data, where Leat copies it.
func newSDKEvent(id, key string, data []byte) (event.Event, error) {
	e := event.New()
	e.SetID(id)
	e.SetSource(eventSource)
	e.SetType(eventType)
	e.SetSubject(eventSubject)
	e.SetTime(eventTime())
	e.SetExtension("partitionkey", key)
	return e, e.SetData(eventContentType, data)
}

// sdkEvents returns n events.
func sdkEvents(n, keys int) ([]event.Event, error) {
	events := make([]event.Event, n)
	for i := range events {
		e, err := newSDKEvent(eventID(i), eventKey(i, keys), payload())
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, nil
}

// watermillMessages returns n messages, with the attributes as metadata.
func watermillMessages(n, keys int) []*message.Message {
	messages := make([]*message.Message, n)
	for i := range messages {
		m := message.NewMessage(eventID(i), payload())
		m.Metadata.Set("source", eventSource)
		m.Metadata.Set("type", eventType)
		m.Metadata.Set("subject", eventSubject)
		m.Metadata.Set("time", eventTime().Format(time.RFC3339Nano))
		m.Metadata.Set("datacontenttype", eventContentType)
		m.Metadata.Set("partitionkey", eventKey(i, keys))
		messages[i] = m
	}
	return messages
}
