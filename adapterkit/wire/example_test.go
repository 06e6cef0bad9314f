package wire_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
)

// message is what the broker of this example stores.
type message struct {
	header map[string]string
	body   []byte
}

// binding is how this broker's messages have events.
func binding() wire.Binding {
	return wire.Binding{Prefix: "ce-", ContentType: "content-type", Empty: "leat-data"}
}

func encode(w *wire.Writer, e leat.Event) message {
	m := message{header: map[string]string{}, body: e.Data()}
	maps.Insert(m.header, w.Headers(e))
	return m
}

func decode(r *wire.Reader, m message) (d leat.Delivery) {
	r.Begin(binding(), len(m.header))
	for name, value := range m.header {
		r.AddText(name, value)
	}
	var err error
	if d.Event, err = r.Event(m.body); err != nil {
		text := func(value string) []byte { return []byte(value) }
		headers := wire.Sorted(nil, m.header, text)
		d.Malformed = &leat.Malformed{Headers: headers, Body: m.body, Reason: err}
	}
	d.Trace = r.Trace()
	r.Reset() // it waits for the next message
	return d
}

func Example() {
	e, err := leat.NewEvent("order.placed.v1", &leat.EventOptions{
		ID: "1", Source: "/shop", DataContentType: "application/json", Data: []byte(`{"total":5}`),
	})
	if err != nil {
		fmt.Println(err)
	}
	w, r := wire.Writer{Binding: binding()}, wire.Reader{}
	m := encode(&w, e)
	for _, name := range slices.Sorted(maps.Keys(m.header)) {
		if name != "ce-time" {
			fmt.Println(name+":", m.header[name])
		}
	}
	fmt.Println(decode(&r, m).Event.Equal(e))

	delete(m.header, "ce-specversion")
	fmt.Println(decode(&r, m).Malformed.Reason)
	// Output:
	// ce-id: 1
	// ce-source: /shop
	// ce-specversion: 1.0
	// ce-type: order.placed.v1
	// content-type: application/json
	// true
	// the message is not a CloudEvent: it has neither a specversion nor a content type of CloudEvents
}
