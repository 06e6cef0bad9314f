package eventtest

import "github.com/leatgo/leat"

// eventID is what makes two events the same.
type eventID struct{ source, id string }

func idOf(e leat.Event) eventID { return eventID{e.Source(), e.ID()} }
