package leat

import (
	"errors"
	"strconv"
)

// AsEvent stands in for the method in poison_event.go.
func (p Poisoned) AsEvent() (Event, error) {
	if p.Malformed != nil {
		e, err := NewEvent("leat.malformed.v1", &EventOptions{ID: "malformed", Source: "/leat", Data: p.Malformed.Body})
		if err == nil {
			e.p.poisoned = true
		}
		return e, err
	}
	if p.Event.IsZero() {
		return Event{}, errors.New("nothing to poison")
	}
	d := *p.Event.d()
	d.poisoned = true
	d.key += "|attempts=" + strconv.Itoa(p.Info.Attempt)
	return Event{&d}, nil
}

// Original stands in for the function in poison_event.go.
func Original(e Event) Event {
	d := *e.d()
	d.poisoned = false
	for i := range d.key {
		if d.key[i] == '|' {
			d.key = d.key[:i]
			break
		}
	}
	return Event{&d}
}

// IsPaused belongs beside IsRejected in handler.go: it reports whether err is, or wraps, the outcome of [Pause].
func IsPaused(err error) bool {
	v, ok := errors.AsType[*verdict](err)
	return ok && v.kind == verdictPause
}
