package leat

import "time"

// Event is an immutable CloudEvents 1.0 event. The zero Event is no event.
type Event struct{ p *eventData }

// eventData is what all copies of an Event share. It is never changed once an Event points to it.
type eventData struct {
	id, source, eventType string
	key                   string
	data                  string
	hasData               bool
	size                  int
	err                   error
	attributes            int  // how many attributes it has, extensions included
	poisoned              bool // it carries the poison queue's extensions and may use its reserve
}

// Limits of an event. Ordinary publishes leave poisonReserveBytes and some attributes free, which only poison publishes use.
const (
	maxEventBytes        = 1 << 20
	poisonReserveBytes   = 8 << 10
	maxAttributes        = 64
	maxAttributesDecoded = 80
)

var zeroEvent eventData

func (e Event) d() *eventData {
	if e.p == nil {
		return &zeroEvent
	}
	return e.p
}

// EventOptions are the optional parts of a new event.
type EventOptions struct {
	ID              string
	Source          string
	Subject         string
	Time            time.Time
	DataContentType string
	DataSchema      string
	Key             string
	Extensions      map[string]any
	Data            []byte
}

// NewEvent returns an event of the given type.
func NewEvent(eventType string, o *EventOptions) (Event, error) {
	if o == nil {
		o = &EventOptions{}
	}
	e := Event{&eventData{id: o.ID, source: o.Source, eventType: eventType, key: o.Key, data: string(o.Data), hasData: o.Data != nil}}
	e.p.size = len(e.p.id) + len(e.p.source) + len(e.p.eventType) + len(e.p.key) + len(e.p.data)
	return e, nil
}

func (e Event) ID() string         { return e.d().id }
func (e Event) Source() string     { return e.d().source }
func (e Event) Type() string       { return e.d().eventType }
func (e Event) Key() string        { return e.d().key }
func (e Event) Size() int          { return e.d().size }
func (e Event) DataString() string { return e.d().data }
func (e Event) Validate() error    { return e.d().err }
func (e Event) IsZero() bool       { return e.p == nil }

func (e Event) WithSource(source string) Event {
	d := *e.d()
	d.source = source
	return Event{&d}
}
