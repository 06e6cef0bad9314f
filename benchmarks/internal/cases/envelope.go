package cases

import (
	"encoding/json"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// How often a round does an operation: one that is called directly, and one that goes through
// encoding/json.
const (
	direct = 50_000
	viaStd = 20_000
)

// envelope compares making, encoding and decoding an event.
func envelope() []bench.Group {
	return []bench.Group{create(), encode(), decode()}
}

func create() bench.Group {
	id, key, data := eventID(1), eventKey(1, 10), payload()
	return bench.Group{
		Name: "envelope/create",
		About: "An event with 1 KiB of JSON data and 8 attributes (specversion, id, source, type, subject, time, datacontenttype, " +
			"partitionkey), all given. Leat validates and copies the data; the SDK keeps the caller's slice and does not validate.",
		Cases: []bench.Case{
			operation("CloudEvents SDK, event.New and setters", direct, always(func() error {
				_, err := newSDKEvent(id, key, data)
				return err
			})),
			operation("Leat, NewEvent", direct, always(func() error {
				_, err := newLeatEvent(id, key, data)
				return err
			})),
		},
	}
}

func encode() bench.Group {
	const leatCase = "Leat, MarshalJSON"
	var buffer []byte
	return bench.Group{
		Name:  "envelope/encode",
		About: "The same event to the CloudEvents JSON format. `json.Marshal` checks and compacts again what `MarshalJSON` returns.",
		Cases: []bench.Case{
			operation("CloudEvents SDK, MarshalJSON", direct, withSDK(func(e *event.Event) error {
				_, err := e.MarshalJSON()
				return err
			})),
			operation(leatCase, direct, withLeat(func(e leat.Event) error {
				_, err := e.MarshalJSON()
				return err
			})),
			operation("Leat, AppendJSON to a buffer that is used again", direct, withLeat(func(e leat.Event) (err error) {
				buffer, err = e.AppendJSON(buffer[:0])
				return err
			})),
			operation("CloudEvents SDK, json.Marshal", viaStd, withSDK(func(e *event.Event) error {
				_, err := json.Marshal(e)
				return err
			})),
			operation("Leat, json.Marshal", viaStd, withLeat(func(e leat.Event) error {
				_, err := json.Marshal(e)
				return err
			})),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 2}, {Case: leatCase, Metric: bench.Allocs, Max: 2}},
	}
}

func decode() bench.Group {
	const leatCase = "Leat, UnmarshalJSON"
	return bench.Group{
		Name: "envelope/decode",
		About: "The same event from the bytes that the SDK wrote. Leat validates what it reads and refuses duplicate members, invalid " +
			"UTF-8 and what exceeds its limits; the SDK's `Validate` is a call of its own, which is not made.",
		Cases: []bench.Case{
			operation("CloudEvents SDK, UnmarshalJSON", direct, withEncoded(func(b []byte) error {
				var e event.Event
				return e.UnmarshalJSON(b)
			})),
			operation(leatCase, direct, withEncoded(func(b []byte) error {
				var e leat.Event
				return e.UnmarshalJSON(b)
			})),
			operation("Leat, ParseEvent", direct, withEncoded(func(b []byte) error {
				_, err := leat.ParseEvent(b)
				return err
			})),
			operation("CloudEvents SDK, json.Unmarshal", viaStd, withEncoded(func(b []byte) error {
				var e event.Event
				return json.Unmarshal(b, &e)
			})),
			operation("Leat, json.Unmarshal", viaStd, withEncoded(func(b []byte) error {
				var e leat.Event
				return json.Unmarshal(b, &e)
			})),
		},
		Goals: []bench.Goal{{Case: leatCase, Min: 2}},
	}
}
