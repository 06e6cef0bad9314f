package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/leatgo/leat/adapterkit/fault"
)

// logLine is a message of the log. The table in docs/operations.md has the same lines.
type logLine uint8

const (
	lineOutage logLine = iota
	lineOutageOver
	lineSuspended
	lineResumed
	lineLost
	lineGivenUp
	lineIll
	lineWell
	lineAgain
	lineUnreadable
	lineReadable
	lineNoted
	lineAtEnd
	lineNewTopic
	lineNewTopicPublished
	linePartitions
)

// logLines has what each line looks like. Attributes are in the order in which a caller gives their
// values. The last one of an incident is the [fault.Incident]'s: error at its beginning, lasted at
// its end.
var logLines = [...]struct {
	level      slog.Level
	message    string
	attributes string
}{
	lineOutage:     {slog.LevelWarn, "Kafka does not answer", "host code error"},
	lineOutageOver: {slog.LevelInfo, "Kafka answers again", "host lasted"},
	lineSuspended: {slog.LevelWarn, "the group does not answer: leases have ended, and unfinished events are handled again",
		"topic group partitions error"},
	lineResumed: {slog.LevelInfo, "the group answers again", "topic group lasted"},
	lineLost:    {slog.LevelWarn, "partitions are lost; other members handle their unfinished events", "topic group partitions error"},
	lineGivenUp: {slog.LevelWarn, "partitions are given up with unfinished events, which are handled again",
		"topic group partitions error"},
	lineIll:   {slog.LevelWarn, "a subscription has a problem", "topic group problem partitions code error"},
	lineWell:  {slog.LevelInfo, "a subscription has no problem any more", "topic group lasted"},
	lineAgain: {slog.LevelInfo, "partitions are assigned again, since the group's offsets can be read now", "topic group partitions"},
	lineUnreadable: {slog.LevelWarn, "records cannot be read; they are passed as malformed deliveries",
		"topic group partition offset next error"},
	lineReadable: {slog.LevelInfo, "for 5 minutes, no record came that cannot be read", "topic group lasted"},
	lineNoted: {slog.LevelInfo, "events above the committed offsets are finished already, and are not handled again",
		"topic group partitions events"},
	lineAtEnd: {slog.LevelWarn, "a group begins at the end of a topic", "topic group skipped error"},
	lineNewTopic: {slog.LevelWarn, "the topic was deleted and created again; consuming goes on with the new topic, from its start",
		"topic group"},
	lineNewTopicPublished: {slog.LevelWarn, "the topic was deleted and created again; publishing goes on with the new topic", "topic"},
	linePartitions: {slog.LevelWarn, "the topic exists with another number of partitions than Options.Partitions; it stays as it is",
		"topic partitions configured"},
}

// attrs returns the attributes of a line with values, of which there may be fewer. An empty text is
// left out.
func (l logLine) attrs(values ...any) []slog.Attr {
	names := strings.Fields(logLines[l].attributes)
	attrs := make([]slog.Attr, 0, len(names)+2)
	for i, v := range values {
		switch v := v.(type) {
		case error:
			attrs = append(attrs, slog.String(names[i], v.Error()))
		case string:
			if v != "" {
				attrs = append(attrs, slog.String(names[i], v))
			}
		default:
			attrs = append(attrs, slog.Any(names[i], v))
		}
	}
	return attrs
}

// log writes a line that stands for itself.
func (o *Options) log(l logLine, values ...any) {
	//nolint:sloglint // a message of the table
	o.Logger.LogAttrs(context.Background(), logLines[l].level, logLines[l].message, l.attrs(values...)...)
}

// log writes a line about the stream: behind topic and group come values.
func (s *Stream) log(l logLine, values ...any) {
	s.broker.o.log(l, append([]any{s.sub.Topic, s.sub.Group}, values...)...)
}

// wrong writes a line of an incident, unless there is one of this kind in it.
func (l logLine) wrong(i *fault.Incident, kind string, err error, values ...any) {
	i.Wrong(logLines[l].message, kind, err, l.attrs(values...)...)
}

// well writes the end of an incident, if there is one.
func (l logLine) well(i *fault.Incident, values ...any) {
	i.Well(logLines[l].message, l.attrs(values...)...)
}

// mostNamed is how many partitions a line names.
const mostNamed = 5

// named returns how many partitions there are, and which the first ones are: "12 (0, 1, 2, 3, 4,
// ...)".
func named(partitions []int32) string {
	slices.Sort(partitions)
	partitions = slices.Compact(partitions)
	first := make([]string, 0, mostNamed+1)
	for _, p := range partitions[:min(len(partitions), mostNamed)] {
		first = append(first, strconv.Itoa(int(p)))
	}
	if len(partitions) > mostNamed {
		first = append(first, "...")
	}
	return fmt.Sprintf("%d (%s)", len(partitions), strings.Join(first, ", "))
}

// partitionsOf returns the partitions of tenures.
func partitionsOf(tenures []*tenure) []int32 {
	partitions := make([]int32, 0, len(tenures))
	for _, t := range tenures {
		partitions = append(partitions, t.partition)
	}
	return partitions
}
