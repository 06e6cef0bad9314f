package leat

import (
	"log/slog"
	"strings"
)

// logLine is a message of the log. The table in docs/operations.md has the same lines.
type logLine uint8

const (
	lineStarted logLine = iota
	lineStopped
	lineStoppedBadly
	lineFailed
	linePanicked
	linePoisoned
	linePutBack
	lineDeadLettered
	lineStuck
	lineMalformed
	lineReduced
	lineQueueDown
	lineQueueUp
	lineRefused
	linePaused
	lineUnpaused
	lineStalled
	lineReceiving
	lineOutage
	lineOutageOver
	lineLeaseLost
	lineSkipped
	lineManySkipped
	lineAlone
	lineNotesFail
	lineNotesWork
	lineNotesMissing
	linePublishesFail
	linePublishing
)

// logLines has what each line looks like. The attributes are those behind topic and group of a
// Consumer, in the order in which a caller gives their values; one without a value is left out.
var logLines = [...]struct {
	level      slog.Level
	message    string
	attributes string
	most       int // lines in a logPeriod; 0 means logMost
}{
	lineStarted:      {slog.LevelInfo, "consumer started", "", 0},
	lineStopped:      {slog.LevelInfo, "consumer stopped", "", 0},
	lineStoppedBadly: {slog.LevelError, "consumer stopped with an error", "error", 0},
	lineFailed:       {slog.LevelWarn, "event failed and is tried again", "type id key position attempt delay error", 0},
	linePanicked:     {slog.LevelError, "handler panicked", "type id key position attempt delay error stack", 0},
	linePoisoned:     {slog.LevelError, "event is in the poison queue", "type id key position attempt poison_topic error", 0},
	linePutBack: {slog.LevelWarn, "event failed again in a replay and is back in the poison queue",
		"type id key position attempt replays error", 0},
	lineDeadLettered: {slog.LevelError, "event was rejected to the broker's dead letters", "type id key position attempt error", 0},
	lineStuck: {slog.LevelError, "event stays unsettled: it was rejected and there is no poison queue",
		"type id key position attempt error", 0},
	lineMalformed: {slog.LevelError, "message is not a CloudEvent; no handler gets it", "position poison_topic error do", 1},
	lineReduced: {slog.LevelWarn, "poisoned event did not fit into the poison queue and was written in the reduced form",
		"type id key position bytes kept_data_bytes dropped_attributes", 0},
	lineQueueDown: {slog.LevelError, "poison queue failed; rejected events stay unsettled until it works", "poison_topic error", 0},
	lineQueueUp:   {slog.LevelInfo, "poison queue works again", "poison_topic", 0},
	lineRefused: {slog.LevelError, "poison queue refuses an event, which stays unsettled and is tried again",
		"type id key position poison_topic error do", 0},
	linePaused:   {slog.LevelWarn, "consumer paused", "by until type id error", 0},
	lineUnpaused: {slog.LevelInfo, "consumer continues after a pause", "paused", 0},
	lineStalled: {slog.LevelError, "consumer stalled: events that do not finish use up its limits",
		"in_flight bytes parked running refused", 0},
	lineReceiving:  {slog.LevelInfo, "consumer receives again", "", 0},
	lineOutage:     {slog.LevelWarn, "a handler cannot publish; its event waits, and no attempt is counted", "type id key position error", 0},
	lineOutageOver: {slog.LevelInfo, "no event waits any more for a publish of its handler", "", 0},
	lineLeaseLost:  {slog.LevelWarn, "lease lost; its unfinished events are handled again", "in_flight error", 0},
	lineSkipped:    {slog.LevelInfo, "no route wants events of this type; they are skipped", "type", maxUnrouted + 1},
	lineManySkipped: {slog.LevelInfo, "more types of events than are named here have no route; they are skipped",
		"named", 0},
	lineAlone: {slog.LevelWarn, "an event over MaxDeliveries runs alone", "type id key position deliveries waiting", 0},
	lineNotesFail: {slog.LevelError, "events over MaxDeliveries wait, because their runs cannot be noted",
		"notes error", 0},
	lineNotesWork: {slog.LevelInfo, "runs of events over MaxDeliveries can be noted again", "notes", 0},
	lineNotesMissing: {slog.LevelError,
		"that a run of an event over MaxDeliveries came back could not be noted; it counts as one that did not", "runs", 0},
	linePublishesFail: {slog.LevelWarn, "publishes to a topic fail", "topic error", 0},
	linePublishing:    {slog.LevelInfo, "publishes to a topic succeed again", "topic refused unknown lasted", 0},
}

// names returns the attributes of l behind topic and group.
func (l logLine) names() []string { return strings.Fields(logLines[l].attributes) }
