package foreign_test

import (
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
)

// spring-kafka writes a source in JSON quotes and a time in seconds, both of which CloudEvents
// forbids. An adapter calls the Mapping that its options have; here it is called by hand.
func ExampleLenient() {
	read := foreign.Lenient(nil)
	e, err := read(foreign.Message{
		Headers: []leat.Header{
			{Name: "ce_specversion", Value: []byte("1.0")},
			{Name: "ce_id", Value: []byte("1")},
			{Name: "ce_source", Value: []byte(`"/spring"`)},
			{Name: "ce_type", Value: []byte("com.example.t")},
			{Name: "ce_time", Value: []byte("1732788930.123000000")},
		},
		Body: []byte(`{"a":1}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Source(), e.TimeString(), e.DataString())
	repaired, _ := e.Extension("leatrepaired")
	fmt.Println(repaired)
	// Output:
	// /spring 2024-11-28T10:15:30.123Z {"a":1}
	// source: JSON quotes removed (was "\"/spring\""); time: seconds since 1970 (was "1732788930.123000000")
}
