package foreign_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plainMessage is one as a producer without CloudEvents writes it to Kafka.
func plainMessage() foreign.Message {
	return foreign.Message{
		Topic: "orders", ID: "orders/3/42", Position: leat.Position{Partition: 3, Offset: 42}, Time: time.Unix(1_700_000_000, 0),
		Key: []byte("customer-7"), ContentType: "application/json", Body: []byte(`{"order":7}`),
		Headers: []leat.Header{{Name: "content-type", Value: []byte("application/json")}, {Name: "kind", Value: []byte("placed")}},
		Err:     fmt.Errorf("wrapped: %w", foreign.ErrPlain),
	}
}

func header(m foreign.Message, name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return string(h.Value)
		}
	}
	return ""
}

func TestPlain(t *testing.T) {
	t.Parallel()
	const stamp = "2023-11-14T22:13:20Z"
	for name, c := range map[string]struct {
		options *foreign.PlainOptions
		change  func(m *foreign.Message)
		want    map[string]string // beside what all have
	}{
		"defaults": {want: map[string]string{
			"type": "orders", "source": "/orders", "id": "orders/3/42", "time": stamp, "datacontenttype": "application/json",
		}},
		"constants": {
			options: &foreign.PlainOptions{Type: "com.example.order", Source: "/legacy", Subject: "s", DataContentType: "text/plain"},
			want: map[string]string{
				"type": "com.example.order", "source": "/legacy", "subject": "s", "id": "orders/3/42", "time": stamp,
				"datacontenttype": "application/json",
			},
		},
		"functions win over constants": {
			options: &foreign.PlainOptions{
				Type: "no", Source: "/no", Subject: "no",
				TypeOf:    func(m foreign.Message) (string, error) { return "order." + header(m, "kind"), nil },
				SourceOf:  func(m foreign.Message) (string, error) { return "/p/" + fmt.Sprint(m.Position.Partition), nil },
				IDOf:      func(m foreign.Message) (string, error) { return "id-" + fmt.Sprint(m.Position.Offset), nil },
				TimeOf:    func(foreign.Message) (time.Time, error) { return time.Unix(0, 0).UTC(), nil },
				SubjectOf: func(m foreign.Message) (string, error) { return string(m.Body[2:7]), nil },
				KeyOf:     func(m foreign.Message) (string, error) { return string(m.Key), nil },
			},
			want: map[string]string{
				"type": "order.placed", "source": "/p/3", "id": "id-42", "time": "1970-01-01T00:00:00Z", "subject": "order",
				"partitionkey": "customer-7", "datacontenttype": "application/json",
			},
		},
		"functions that say nothing": {
			options: &foreign.PlainOptions{
				TypeOf: func(foreign.Message) (string, error) { return "", nil },
				IDOf:   func(foreign.Message) (string, error) { return "", nil },
				TimeOf: func(foreign.Message) (time.Time, error) { return time.Time{}, nil },
			},
			want: map[string]string{"type": "orders", "source": "/orders", "id": "orders/3/42", "datacontenttype": "application/json"},
		},
		"no content type, no time": {
			options: &foreign.PlainOptions{DataContentType: "application/json"},
			change:  func(m *foreign.Message) { m.ContentType, m.Time = "", time.Time{} },
			want:    map[string]string{"type": "orders", "source": "/orders", "id": "orders/3/42", "datacontenttype": "application/json"},
		},
		"a content type that is none": {
			change: func(m *foreign.Message) { m.ContentType = "json" },
			want:   map[string]string{"type": "orders", "source": "/orders", "id": "orders/3/42", "time": stamp},
		},
	} {
		m := plainMessage()
		if c.change != nil {
			c.change(&m)
		}
		c.want["specversion"] = "1.0"
		for range 2 { // again on redelivery
			e, err := foreign.Plain(c.options).Event(m)
			require.NoError(t, err, name)
			got := maps.Collect(e.Attributes())
			if at := e.Time(); !at.IsZero() {
				got["time"] = at.UTC().Format(time.RFC3339)
			}
			assert.Equal(t, c.want, got, name)
			assert.JSONEq(t, `{"order":7}`, e.DataString(), name)
		}
	}
}

func TestPlainData(t *testing.T) {
	t.Parallel()
	m := plainMessage()
	for _, body := range [][]byte{nil, {}, []byte("\xff\x00")} {
		m.Body = body
		e, err := foreign.Plain(nil).Event(m)
		require.NoError(t, err)
		assert.Equal(t, body, e.Data(), "no data and empty data are two things")
	}
}

// TestPlainLeavesClaimsAlone: what claims to be a CloudEvent is not read as something else.
func TestPlainLeavesClaimsAlone(t *testing.T) {
	t.Parallel()
	m := plainMessage()
	m.Err = errDecode
	_, err := foreign.Plain(nil).Event(m)
	assert.Equal(t, errDecode, err)
}

func TestPlainRefuses(t *testing.T) {
	t.Parallel()
	fails := func(foreign.Message) (string, error) { return "", errOwn }
	for name, o := range map[string]*foreign.PlainOptions{
		"type": {TypeOf: fails}, "source": {SourceOf: fails}, "id": {IDOf: fails}, "subject": {SubjectOf: fails}, "key": {KeyOf: fails},
		"time": {TimeOf: func(foreign.Message) (time.Time, error) { return time.Now(), errOwn }},
	} {
		_, err := foreign.Plain(o).Event(plainMessage())
		require.ErrorIs(t, err, errOwn, name)
		require.ErrorIs(t, err, foreign.ErrPlain, name)
	}
	_, err := foreign.Plain(&foreign.PlainOptions{Source: "not a URI"}).Event(plainMessage())
	require.ErrorContains(t, err, `"source"`)
	m := plainMessage()
	m.Body = make([]byte, 2<<20)
	_, err = foreign.Plain(nil).Event(m)
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
}

// TestPlainIDWithoutName: a message that the transport has no name for is known by what its
// publisher wrote.
func TestPlainIDWithoutName(t *testing.T) {
	t.Parallel()
	id := func(change func(m *foreign.Message)) string {
		m := plainMessage()
		m.ID, m.Position, m.Properties = "", leat.Position{}, map[string]string{"routing_key": "a", "type": "t"}
		change(&m)
		e, err := foreign.Plain(nil).Event(m)
		require.NoError(t, err)
		return e.ID()
	}
	first := id(func(*foreign.Message) {})
	assert.Len(t, first, 32)
	seen := map[string]string{first: "nothing"}
	for name, change := range map[string]func(m *foreign.Message){
		"topic":        func(m *foreign.Message) { m.Topic = "other" },
		"body":         func(m *foreign.Message) { m.Body = []byte("x") },
		"time":         func(m *foreign.Message) { m.Time = m.Time.Add(time.Second) },
		"key":          func(m *foreign.Message) { m.Key = nil },
		"content type": func(m *foreign.Message) { m.ContentType = "" },
		"property":     func(m *foreign.Message) { m.Properties["routing_key"] = "b" },
		"two at once":  func(m *foreign.Message) { m.Properties = map[string]string{"routing_key": "at", "ype": "t"} },
		"header":       func(m *foreign.Message) { m.Headers = m.Headers[:1] },
	} {
		other := id(change)
		assert.Empty(t, seen[other], "%s and %s have one id", name, seen[other])
		seen[other] = name
	}
	again := id(func(m *foreign.Message) {
		m.Headers = append(m.Headers, leat.Header{Name: "x-delivery-count", Value: []byte("1")}, leat.Header{Name: "x-death"},
			leat.Header{Name: "x-first-death-queue"}, leat.Header{Name: "x-last-death-reason"})
	})
	assert.Equal(t, first, again, "what RabbitMQ adds on redelivery does not change it")
}

// TestLenientThenPlain: a topic with both kinds of messages.
func TestLenientThenPlain(t *testing.T) {
	t.Parallel()
	both := foreign.First(foreign.Lenient(nil), foreign.Plain(nil))
	e, err := both.Event(plainMessage())
	require.NoError(t, err)
	assert.Equal(t, "orders/3/42", e.ID())
	claims := foreign.Message{Topic: "orders", ID: "orders/3/43", Err: errors.New("the time"), Headers: []leat.Header{
		{Name: "ce_specversion", Value: []byte("1.0")}, {Name: "ce_id", Value: []byte("7")}, {Name: "ce_type", Value: []byte("t")},
		{Name: "ce_source", Value: []byte("/s")}, {Name: "ce_time", Value: []byte("1700000000000")},
	}}
	e, err = both.Event(claims)
	require.NoError(t, err)
	assert.Equal(t, "7", e.ID())
	claims.Headers = claims.Headers[:2]
	_, err = both.Event(claims)
	require.ErrorIs(t, err, claims.Err, "neither reads an event without a type")
}
