package foreign

import (
	"errors"
	"fmt"

	"github.com/leatgo/leat"
)

// Mapping makes an event of a message that is not a CloudEvent. An adapter calls it before it gives
// a message up as malformed, whatever the reason is; a message that can be read never reaches it.
// An error, a panic or an event that is not valid makes the message malformed. A Mapping must not
// keep or change the slices and the map of m. It is called by one goroutine of each stream, so by
// several at once.
type Mapping func(m Message) (leat.Event, error)

// Event calls the Mapping as an adapter has to: a panic and an event that is not valid are errors.
// The error wraps m.Err, and the Mapping's own error where that is another. A nil Mapping returns
// m.Err.
func (f Mapping) Event(m Message) (leat.Event, error) {
	if f == nil {
		return leat.Event{}, m.Err
	}
	e, err := f.try(m)
	switch {
	case err == nil:
		return e, nil
	case m.Err == nil || errors.Is(err, m.Err):
		return leat.Event{}, err
	}
	return leat.Event{}, fmt.Errorf("%w; the Mapping returned no event: %w", m.Err, err)
}

// try calls the Mapping and checks what it returns.
func (f Mapping) try(m Message) (e leat.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			e, err = leat.Event{}, fmt.Errorf("the Mapping panicked: %v", v)
		}
	}()
	if e, err = f(m); err == nil {
		err = e.Validate()
	}
	return e, err
}

// First returns a Mapping that asks others in turn, and takes the first event. Its error has those
// of all.
func First(mappings ...Mapping) Mapping {
	return func(m Message) (leat.Event, error) {
		var own []error // those that are not m.Err
		for _, f := range mappings {
			if f == nil {
				continue
			}
			e, err := f.try(m)
			if err == nil {
				return e, nil
			}
			if m.Err == nil || !errors.Is(err, m.Err) {
				own = append(own, err)
			}
		}
		if len(own) == 0 {
			return leat.Event{}, m.Err
		}
		return leat.Event{}, errors.Join(own...)
	}
}

// Structured is a [Mapping] that reads the body of a plain message as a CloudEvent in JSON. It is
// for producers that write structured mode without its content type, such as Dapr and Wolverine.
func Structured(m Message) (leat.Event, error) {
	if !errors.Is(m.Err, ErrPlain) {
		return leat.Event{}, m.Err
	}
	return leat.ParseEvent(m.Body)
}
