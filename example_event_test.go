package leat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

func ExampleNewEvent() {
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{
		ID:     "1", // a UUIDv7 when left out
		Source: "/shop/checkout",
		Time:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), // now when left out
		Key:    "customer-42",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e = e.WithJSON(map[string]int{"amount": 5})
	text, err := e.AppendJSON(nil)
	fmt.Println(string(text), err)
	// Output:
	// {"specversion":"1.0","id":"1","source":"/shop/checkout","type":"com.example.order.placed.v1","time":"2026-01-02T03:04:05Z","datacontenttype":"application/json","partitionkey":"customer-42","data":{"amount":5}} <nil>
}

// An invalid value makes an event that is refused, so that a chain needs one check.
func ExampleEvent_Validate() {
	e, _ := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: "1", Source: "/shop"})
	e = e.WithSubject("order 7").WithDataSchema("order.json").WithKey("customer-42")
	fmt.Println(e.Validate())
	// Output:
	// leat: event "1": invalid: attribute "dataschema" is not absolute: it has no scheme (CloudEvents 1.0.2, Optional Attributes: dataschema)
}

func ExampleEvent_WithExtension() {
	e, _ := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{Source: "/shop"})
	e = e.WithExtension("sampledrate", 30).WithExtension("dataref", leat.URIRef("blobs/7"))
	for name, value := range e.Extensions() {
		fmt.Printf("%s: %v (%T)\n", name, value, value)
	}
	// Output:
	// dataref: blobs/7 (leat.URIRef)
	// sampledrate: 30 (int32)
}

func ExampleParseEvent() {
	e, err := leat.ParseEvent([]byte(`{
		"specversion": "1.0", "id": "1", "source": "HTTP://Example.com", "type": "com.example.ping", "time": "2026-01-02t03:04:05z",
		"data": {"n":  1}
	}`))
	fmt.Println(e.Source(), e.TimeString(), e.Time().Year(), e.DataString(), err)

	_, err = leat.ParseEvent([]byte(`{"specversion": "1.0", "id": "1", "source": "/", "type": "t", "type": "u"}`))
	fmt.Println(err)
	// Output:
	// HTTP://Example.com 2026-01-02t03:04:05z 2026 {"n":  1} <nil>
	// leat: decode: invalid: attribute "type" is there twice (CloudEvents 1.0.2, Naming Conventions)
}

func ExampleEvent_MarshalJSON() {
	var events []leat.Event
	err := json.Unmarshal([]byte(`[{"specversion":"1.0","id":"1","source":"/","type":"t","data_base64":"aGk="}]`), &events)
	fmt.Println(events, string(events[0].Data()), err)
	// Output:
	// [event "t" id "1" source "/" (31 bytes)] hi <nil>
}

// No data, empty data and JSON null are three different things, and stay so in JSON.
func ExampleEvent_HasData() {
	e, _ := leat.NewEvent("com.example.ping", &leat.EventOptions{ID: "1", Source: "/", Time: time.Unix(0, 0).UTC()})
	for _, e := range []leat.Event{
		e,
		e.WithData("text/plain", []byte{}),
		e.WithJSON(nil),
	} {
		text, err := e.AppendJSON(nil)
		back, _ := leat.ParseEvent(text)
		_, member, _ := strings.Cut(string(text), `"time":"1970-01-01T00:00:00Z"`)
		fmt.Printf("%v %q %s %v %v\n", back.HasData(), back.Data(), member, back.Equal(e), err)
	}
	// Output:
	// false "" } true <nil>
	// true "" ,"datacontenttype":"text/plain","data":""} true <nil>
	// true "null" ,"datacontenttype":"application/json","data":null} true <nil>
}

// The content type decides how data stands in JSON. What cannot stand there as it is becomes
// base64, so that the bytes survive.
func ExampleEvent_AppendJSON() {
	e, _ := leat.NewEvent("com.example.ping", &leat.EventOptions{ID: "1", Source: "/", Time: time.Unix(0, 0).UTC()})
	for _, e := range []leat.Event{
		e.WithData("application/json", []byte(`{"n":  1.0}`)),
		e.WithData("application/json", []byte(` {"n":1}`)), // the space would be lost
		e.WithData("application/json", []byte(`{"n":`)),    // no JSON
		e.WithText(`{"n":1}`),
		e.WithData("image/png", []byte("\x89PNG")),
	} {
		text, _ := e.AppendJSON(nil)
		back, err := leat.ParseEvent(text)
		_, member, _ := strings.Cut(string(text), `"datacontenttype":`)
		fmt.Println(member, back.DataString() == e.DataString(), err)
	}
	// Output:
	// "application/json","data":{"n":  1.0}} true <nil>
	// "application/json","data_base64":"IHsibiI6MX0="} true <nil>
	// "application/json","data_base64":"eyJuIjo="} true <nil>
	// "text/plain; charset=utf-8","data":"{\"n\":1}"} true <nil>
	// "image/png","data_base64":"iVBORw=="} true <nil>
}

// Binary mode: attributes are headers, and the data is the body.
func ExampleDecoder() {
	e, _ := leat.NewEvent("com.example.ping", &leat.EventOptions{ID: "1", Source: "/", Time: time.Unix(0, 0).UTC(), Key: "k-1"})
	e = e.WithExtension("sampledrate", 30).WithText("hi")
	var headers []leat.Header
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
		fmt.Printf("ce_%s: %s\n", name, value)
	}
	var decoder leat.Decoder // one for all messages of a stream
	back, err := decoder.Decode(headers, e.Data())
	rate, _ := back.Extension("sampledrate")
	fmt.Printf("%v %v; sampledrate is a %T now\n", back.Equal(e), err, rate)
	// Output:
	// ce_specversion: 1.0
	// ce_id: 1
	// ce_source: /
	// ce_type: com.example.ping
	// ce_time: 1970-01-01T00:00:00Z
	// ce_datacontenttype: text/plain; charset=utf-8
	// ce_partitionkey: k-1
	// ce_sampledrate: 30
	// true <nil>; sampledrate is a string now
}

func ExampleEventType() {
	type Order struct {
		ID       string `json:"id"`
		Customer string `json:"customer"`
	}
	placed := leat.EventType[Order]{
		Name: "com.example.order.placed.v1", Topic: "orders",
		Key: func(o Order) string { return o.Customer },
	}
	e, err := placed.New(Order{ID: "o-7", Customer: "c-42"})
	fmt.Println(e.Type(), e.Key(), e.DataString(), err)

	o, err := placed.Decode(e)
	fmt.Println(o.ID, err)
	_, err = placed.Decode(e.WithID("1").WithJSON([]int{1}))
	fmt.Println(leat.IsRejected(err), err)
	// Output:
	// com.example.order.placed.v1 c-42 {"id":"o-7","customer":"c-42"} <nil>
	// o-7 <nil>
	// true leat: decode event "1": invalid: data of type "com.example.order.placed.v1": JSON value at byte 1 does not fit into Go type leat_test.Order
}

func ExamplePoisonedFrom() {
	e, _ := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{ID: "1", Source: "/shop"})
	poisoned, _ := leat.Poisoned{Event: e, Reason: fmt.Errorf("no such\ncustomer"), Info: leat.Info{Topic: "orders", Attempt: 5}}.AsEvent()
	for name, value := range poisoned.Extensions() {
		fmt.Println(name, value)
	}
	p, err := leat.PoisonedFrom(poisoned)
	fmt.Println(p.Info.Attempt, p.Reason, p.Event.Equal(e), err)
	// Output:
	// leatattempts 5
	// leatreason no such\ncustomer
	// leattopic orders
	// 5 no such\ncustomer true <nil>
}
