package cases

import (
	"bytes"
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

	// distinctEvents are published in turn, more than are ever in flight, so that no event meets
	// itself.
	distinctEvents = 10_000
)

// eventTime is a fixed time, so that every run writes the same bytes.
func eventTime() time.Time { return time.Date(2026, time.March, 1, 12, 30, 15, 123456789, time.UTC) }

// eventID returns an id of the length of a UUID.
func eventID(i int) string { return fmt.Sprintf("0190a3c4-7d1e-7000-8000-%012d", i) }

// eventKey returns the key of event i of a set with that many keys. Keys of all sets have the same
// length.
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

// names are the ids and keys of distinctEvents events.
type names struct{ ids, keys []string }

// newNames returns names with that many keys, in turn; 0 means empty keys.
func newNames(keys int) names {
	n := names{ids: make([]string, distinctEvents), keys: make([]string, distinctEvents)}
	for i := range distinctEvents {
		n.ids[i] = eventID(i)
		if keys > 0 {
			n.keys[i] = eventKey(i, keys)
		}
	}
	return n
}

// at returns the names of event i.
func (n names) at(i int) (id, key string) { return n.ids[i%distinctEvents], n.keys[i%distinctEvents] }

// newLeatEvent returns an event of Leat, which copies data. An empty key leaves it without one.
func newLeatEvent(id, key string, data []byte) (leat.Event, error) {
	return leat.NewEvent(eventType, &leat.EventOptions{
		ID: id, Source: eventSource, Subject: eventSubject, Time: eventTime(), DataContentType: eventContentType,
		Key: key, Data: data,
	})
}

// newSDKEvent returns the same event as the CloudEvents SDK builds it. It keeps data.
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

// newWatermillMessage returns the same event as a Watermill message, with the attributes as
// metadata. It keeps data.
func newWatermillMessage(id, key string, data []byte) (*message.Message, error) {
	m := message.NewMessage(id, data)
	m.Metadata.Set("source", eventSource)
	m.Metadata.Set("type", eventType)
	m.Metadata.Set("subject", eventSubject)
	m.Metadata.Set("time", eventTime().Format(time.RFC3339Nano))
	m.Metadata.Set("datacontenttype", eventContentType)
	m.Metadata.Set("partitionkey", key)
	return m, nil
}

// supply returns a party's event for each number: with made a new one, else one of distinctEvents
// that are made now, with data of their own, and published in turn.
func supply[T any](keys int, made bool, create func(id, key string, data []byte) (T, error)) (func(i int) (T, error), error) {
	n, data := newNames(keys), payload()
	if made {
		return func(i int) (T, error) {
			id, key := n.at(i)
			return create(id, key, data)
		}, nil
	}
	events := make([]T, distinctEvents)
	for i := range events {
		id, key := n.at(i)
		e, err := create(id, key, bytes.Clone(data))
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return func(i int) (T, error) { return events[i%distinctEvents], nil }, nil
}
