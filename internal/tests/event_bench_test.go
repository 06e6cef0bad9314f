package leat_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
)

// payload is about 1 KiB of JSON, as an order might look.
func payload() []byte {
	type line struct {
		SKU   string  `json:"sku"`
		Name  string  `json:"name"`
		Count int     `json:"count"`
		Price float64 `json:"price"`
	}
	order := struct {
		ID       string `json:"id"`
		Customer string `json:"customer"`
		Lines    []line `json:"lines"`
	}{ID: "o-1234567890", Customer: "c-42"}
	for range 12 {
		order.Lines = append(order.Lines, line{"SKU-1234", strings.Repeat("n", 24), 3, 12.5})
	}
	b, err := json.Marshal(order)
	if err != nil {
		panic(err)
	}
	return b
}

func benchEvent(tb testing.TB) leat.Event {
	tb.Helper()
	e, err := leat.NewEvent("com.example.order.placed.v1", &leat.EventOptions{
		ID: "018f9a3c-0000-7000-8000-000000000001", Source: "/shop/checkout", Subject: "o-1234567890",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), DataContentType: "application/json", Key: "c-42",
		Extensions: map[string]any{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		Data:       payload(),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func BenchmarkNewEvent(b *testing.B) {
	data := payload()
	o := &leat.EventOptions{Source: "/shop/checkout", Subject: "o-1234567890", DataContentType: "application/json", Key: "c-42", Data: data}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := leat.NewEvent("com.example.order.placed.v1", o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshalJSON(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppendJSON encodes an event whose data was not checked before and one whose data was, by
// decoding.
func BenchmarkAppendJSON(b *testing.B) {
	e := benchEvent(b)
	text, err := e.MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	checked, err := leat.ParseEvent(text)
	if err != nil {
		b.Fatal(err)
	}
	marshaled := e.WithJSON(json.RawMessage(payload()))
	for name, e := range map[string]leat.Event{"unchecked": e, "parsed": checked, "WithJSON": marshaled} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.AppendJSON(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseEvent(b *testing.B) {
	text, err := benchEvent(b).MarshalJSON()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := leat.ParseEvent(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode compares a decoder for each event with one for all events of a stream.
func BenchmarkDecode(b *testing.B) {
	e := benchEvent(b)
	data := e.Data()
	var headers []leat.Header
	for name, value := range e.Attributes() {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := new(leat.Decoder).Decode(headers, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stream", func(b *testing.B) {
		b.ReportAllocs()
		var stream leat.Decoder
		for b.Loop() {
			if _, err := stream.Decode(headers, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAttributes(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for name, value := range e.Attributes() {
			n += len(name) + len(value)
		}
		if n == 0 {
			b.Fatal("no attributes")
		}
	}
}

func BenchmarkWithSource(b *testing.B) {
	e := benchEvent(b)
	b.ReportAllocs()
	for b.Loop() {
		_ = e.WithSource("/shop/other")
	}
}

// BenchmarkStandardLibraryValid is a measure for the machine: what encoding/json needs to check the
// same data.
func BenchmarkStandardLibraryValid(b *testing.B) {
	data := payload()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !json.Valid(data) {
			b.Fatal("not valid")
		}
	}
}
