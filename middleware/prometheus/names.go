package leatprometheus

import (
	"strings"

	"github.com/leatgo/leat/internal/telemetry"
)

// nameOf returns the name of an instrument as OpenTelemetry's exporter for Prometheus makes it:
// with underscores, the unit, and "total" behind a counter.
func nameOf(in *telemetry.Instrument) string {
	name := escaped(in.Name)
	switch in.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if in.Kind == telemetry.Counter {
		name += "_total"
	}
	return name
}

// escaped returns a name with underscores in the place of dots.
func escaped(name string) string { return strings.ReplaceAll(name, ".", "_") }
