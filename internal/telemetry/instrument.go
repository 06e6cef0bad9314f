// Package telemetry is what the modules for OpenTelemetry and for Prometheus share: one table of
// instruments, the collection of what consumers and producers count, and the middleware that times
// publishes and handlers.
package telemetry

import "slices"

// Kind is the kind of an [Instrument].
type Kind uint8

// The kinds of an [Instrument].
const (
	Counter   Kind = iota + 1 // only rises, and is read when it is collected
	UpDown                    // a sum that rises and falls, and is read when it is collected
	Gauge                     // no sum, and is read when it is collected
	Histogram                 // gets each value when it is measured
)

// Instrument is a metric.
type Instrument struct {
	// Name is OpenTelemetry's. Names with "messaging." are those of its semantic conventions for
	// messaging, version 1.43.
	Name string
	Kind Kind
	// Unit is a UCUM unit: "s", "By", or a word in braces for what is counted.
	Unit        string
	Description string
	// Labels are the names of the attributes, in the order of their values in a [Point]. One whose
	// value is empty is left out.
	Labels []string
	// Buckets are the upper bounds of a Histogram.
	Buckets []float64
}

// The attributes.
const (
	System    = "messaging.system"
	Operation = "messaging.operation.name"
	Operating = "messaging.operation.type"
	Topic     = "messaging.destination.name"
	Group     = "messaging.consumer.group.name"
	Type      = "cloudevents.event_type"
	ErrorType = "error.type"
	State     = "leat.consumer.state"
	Reason    = "leat.poison.reason"
	Outcome   = "leat.publish.outcome"
)

// The places in the table of the instruments that are written one by one.
const (
	SentMessages = iota
	ConsumedMessages
	OperationDuration
	ProcessDuration
	EventAge
	Handled
	Skipped
	Retries
	Poisoned
	PoisonReduced
	GivenBack
	LeaseLost
	InFlight
	InFlightLimit
	InFlightBytes
	InFlightAge
	Parked
	Running
	PoisonRefused
	Suspects
	States
	Lag
	LagAge
	PoisonLag
	Outcomes
	Unanswered
	instruments
)

// Table returns the instruments, each at its place.
func Table() [instruments]Instrument {
	seconds := []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	ages := []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
	group := []string{System, Topic, Group}
	of := func(kind Kind, name, unit, description string, more ...string) Instrument {
		return Instrument{Name: name, Kind: kind, Unit: unit, Description: description, Labels: append(slices.Clip(group), more...)}
	}
	return [...]Instrument{
		SentMessages: {
			Name: "messaging.client.sent.messages", Kind: Counter, Unit: "{message}", Description: "Events that were published.",
			Labels: []string{System, Topic, Operation, ErrorType},
		},
		ConsumedMessages: of(Counter, "messaging.client.consumed.messages", "{message}",
			"Deliveries that were received, redeliveries included.", Operation),
		OperationDuration: {
			Name: "messaging.client.operation.duration", Kind: Histogram, Unit: "s",
			Description: "Time from the call of a publish to the broker's answer for an event.", Buckets: seconds,
			Labels: []string{System, Topic, Operation, Operating, ErrorType},
		},
		ProcessDuration: {
			Name: "messaging.process.duration", Kind: Histogram, Unit: "s", Description: "Time that a handler took for an attempt.",
			Buckets: seconds, Labels: []string{System, Topic, Group, Operation, Type, ErrorType},
		},
		EventAge: {
			Name: "leat.event.age", Kind: Histogram, Unit: "s", Buckets: ages, Labels: []string{System, Topic, Group, Type},
			Description: "Time from the event's own time until it was handled.",
		},
		Handled:       of(Counter, "leat.consumer.handled", "{event}", "Events that a handler handled."),
		Skipped:       of(Counter, "leat.consumer.skipped", "{event}", "Events whose type no route wanted."),
		Retries:       of(Counter, "leat.consumer.retries", "{attempt}", "Attempts that failed and are followed by another."),
		Poisoned:      of(Counter, "leat.consumer.poisoned", "{event}", "Events that went to the poison queue.", Reason, Type),
		PoisonReduced: of(Counter, "leat.consumer.poison.reduced", "{event}", "Poisoned events that did not fit and lost some of their data."),
		GivenBack:     of(Counter, "leat.consumer.given_back", "{delivery}", "Deliveries that went back to the broker unhandled."),
		LeaseLost:     of(Counter, "leat.consumer.lease_lost", "{delivery}", "Deliveries whose lease ended before they were settled."),
		InFlight:      of(UpDown, "leat.consumer.in_flight", "{event}", "Events that are received and not settled."),
		InFlightLimit: of(UpDown, "leat.consumer.in_flight.limit", "{event}", "MaxInFlight: how many events may be in flight."),
		InFlightBytes: of(UpDown, "leat.consumer.in_flight.size", "By", "Size of the events in flight."),
		InFlightAge:   of(Gauge, "leat.consumer.in_flight.age", "s", "Time since the oldest event in flight was received."),
		Parked:        of(UpDown, "leat.consumer.parked", "{event}", "Events in flight that wait for a retry or for the poison queue."),
		Running:       of(UpDown, "leat.consumer.running", "{handler}", "Handlers that run, publishes to the poison queue included."),
		PoisonRefused: of(UpDown, "leat.consumer.poison.refused", "{event}", "Events in flight that the poison queue refuses."),
		Suspects:      of(UpDown, "leat.consumer.suspects", "{event}", "Events in flight that were delivered too often and run alone."),
		States:        of(UpDown, "leat.consumer.state", "{consumer}", "Consumers in this state; every state has a series.", State),
		Lag:           of(Gauge, "leat.consumer.lag", "{event}", "Published events that the group has not settled, as the broker knows."),
		LagAge:        of(Gauge, "leat.consumer.lag.age", "s", "Time since the oldest of them was published, as the broker knows."),
		PoisonLag:     of(Gauge, "leat.poison.lag", "{event}", "Events in the poison queue that nobody has settled."),
		Outcomes: {
			Name: "leat.publish.outcomes", Kind: Counter, Unit: "{event}", Description: "Published events: stored, refused or unknown.",
			Labels: []string{System, Outcome},
		},
		Unanswered: {
			Name: "leat.publish.unanswered", Kind: UpDown, Unit: "{event}", Description: "Published events that the broker has not answered.",
			Labels: []string{System},
		},
	}
}
