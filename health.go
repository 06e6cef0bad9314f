package leat

import (
	"encoding/json"
	"errors"
	"fmt"
)

// HealthState is the state of a [Consumer] or a [Producer].
type HealthState uint8

// The states of a [Consumer], from best to worst. A [Producer] is healthy, degraded or stopped.
const (
	// Healthy: all is well.
	Healthy HealthState = iota
	// Paused: by [Consumer.Pause], or by a handler that returned [Pause]. A problem says by whom,
	// until when and why.
	Paused
	// Degraded: it works, but something needs attention: an event that keeps failing, a poison
	// queue that is down, a broker that cannot be reached for now, publishes that fail.
	Degraded
	// Starting: the broker has not accepted the subscription yet.
	Starting
	// Stalled: it cannot receive, its limits used up by events that do not finish.
	Stalled
	// Stopped: it does not run, or is closed. A problem says why, where Run ended with an error.
	Stopped
)

// String returns the state in lower case.
func (s HealthState) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Paused:
		return "paused"
	case Degraded:
		return "degraded"
	case Starting:
		return "starting"
	case Stalled:
		return "stalled"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Health is how a [Consumer] or a [Producer] is.
type Health struct {
	// State is the worst that one of the problems makes of it.
	State HealthState
	// Problems says why, an [*Error] each, in one line that ends with the time since when it is
	// so. First come its own, then what its stream and its broker say of themselves.
	// What is alike, such as the same fault of twelve partitions, is one problem. A cause that the
	// stream or the broker tells is not told again.
	Problems []error
}

// MarshalJSON returns the state and the problems, with code, topic and text each:
//
//	{"state":"degraded","problems":[{"code":"unavailable","topic":"orders","error":"..., since 2026-01-02T03:04:05Z"}]}
func (h Health) MarshalJSON() ([]byte, error) {
	type problem struct {
		Code  string `json:"code"`
		Topic string `json:"topic,omitempty"`
		Error string `json:"error"`
	}
	view := struct {
		State    string    `json:"state"`
		Problems []problem `json:"problems,omitempty"`
	}{State: h.State.String()}
	for _, err := range h.Problems {
		own, ok := errors.AsType[*Error](err)
		if !ok {
			own = &Error{Code: CodeOf(err), Err: err}
		}
		text := ""
		if own.Err != nil {
			text = textWithin(own.Err, said{own.Op, own.Topic, own.EventID, own.Code})
		}
		view.Problems = append(view.Problems, problem{own.Code.String(), own.Topic, text})
	}
	return json.Marshal(view)
}
