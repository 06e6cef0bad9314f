package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ailment is something that may be wrong with a stream, or with one of its partitions.
type ailment uint8

// The ailments, in the order in which Health tells them.
const (
	ofGroup    ailment = iota // of the group session
	ofTopic                   // of the topic as a whole, or of a whole answer
	ofSilence                 // the group does not answer
	ofCommit                  // of the last commit
	ofFetch                   // of a partition, as all that follow up to ofNote
	ofStall                   // nothing comes from it
	ofGapLimit                // it is paused
	ofGap                     // many events are finished above one that is not
	ofNote                    // the commit has no room for all of these
	ofData                    // the last loss of data
	ofHandler                 // the last handler that outlasted a revoke
)

// ailments has what Health says of each. Code 0 stands for the code of the error, and memory 0 for
// as long as nobody says that it is over.
var ailments = [...]struct {
	text   string
	code   leat.Code
	memory time.Duration
}{
	ofGroup: {"the group", 0, fetchMemory}, ofTopic: {"the topic", 0, fetchMemory},
	ofSilence: {"the group", leat.CodeUnavailable, 0}, ofCommit: {"committing offsets", 0, 0},
	ofFetch: {"fetching", 0, fetchMemory}, ofStall: {"silence", leat.CodeStalled, 0},
	ofGapLimit: {"gap limit", leat.CodeStalled, 0}, ofGap: {"gap", leat.CodeStalled, 0},
	ofNote: {"gap", leat.CodeExhausted, 0}, ofData: {"data loss", leat.CodeUnavailable, eventMemory},
	ofHandler: {"slow handler", leat.CodeHandler, eventMemory},
}

// illness is what is wrong with a stream. The stream's lock guards it.
type illness struct {
	symptoms fault.Symptoms[int64] // by place
	start    fault.Symptom         // of where the group has begun
}

// place is an ailment in a partition, which is 0 where it has none.
func (a ailment) place(partition int32) int64 { return int64(a)<<32 | int64(partition) }

// set notes an error, or with nil that nothing is wrong any more.
func (l *illness) set(a ailment, partition int32, err error) { l.symptoms.Set(a.place(partition), err) }

// anew notes an error that begins now.
func (l *illness) anew(a ailment, partition int32, err error) {
	l.set(a, partition, nil)
	l.set(a, partition, err)
}

const (
	// fetchMemory is how long a failed fetch counts that was not repeated: the client says when a
	// fetch fails, but not when an empty one succeeds.
	fetchMemory = 10 * time.Second
	// eventMemory is how long something that happened once is shown.
	eventMemory = 5 * time.Minute
)

// assignGrace is how long, beyond a heartbeat, members of a group take to join a rebalance; a new
// group waits 3 s for more members.
const assignGrace = 3 * time.Second

// fetchFailed notes an error of polling.
func (l *illness) fetchFailed(partition int32, err error) {
	loss, isLoss := errors.AsType[*kgo.ErrDataLoss](err)
	session, isSession := errors.AsType[*kgo.ErrGroupSession](err)
	switch {
	case errors.Is(err, errAnew): // it is meant to
	case isLoss:
		l.anew(ofData, 0, loss)
	case isSession:
		l.set(ofGroup, 0, session)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		// the poll was ended by the stream itself
	case partition < 0:
		l.set(ofTopic, 0, err)
	default:
		l.set(ofFetch, partition, fmt.Errorf("partition %d: %w", partition, err))
	}
}

// fetched notes that records came, for which the group session must work.
func (l *illness) fetched(partition int32) {
	l.set(ofGroup, 0, nil)
	l.set(ofTopic, 0, nil)
	l.set(ofFetch, partition, nil)
	l.set(ofStall, partition, nil)
}

// noted notes what a commit says of a partition besides its offset: how many events are finished
// above it, and how many of them it had no room for.
func (l *illness) noted(partition int32, p *pending, bound int) {
	var gap, missing error
	finished := p.note.above.count()
	if finished >= int64(bound) {
		gap = fmt.Errorf("partition %d: the event at offset %d is not finished, and %d later ones are", partition, p.at.Offset, finished)
	}
	if p.missing > 0 {
		missing = fmt.Errorf("partition %d: %d of %d events that are finished above offset %d do not fit into the commit's metadata, "+
			"and are handled again after a restart; see which events do not finish, or lower MaxInFlight",
			partition, p.missing, finished, p.at.Offset)
	}
	l.set(ofGap, partition, gap)
	l.set(ofNote, partition, missing)
}

// forget drops what concerns a partition that the stream does not have any more.
func (l *illness) forget(partition int32) {
	for a := ofFetch; a <= ofNote; a++ {
		l.set(a, partition, nil)
	}
}

// report returns all that is wrong now.
func (l *illness) report(topic string) (errs []error) {
	add := func(s *fault.Symptom, text string, code leat.Code) {
		errs = append(errs, unhealthy(topic, code, s.Since, fmt.Errorf("%s: %w", text, s.Err)))
	}
	if l.start.Within(eventMemory) {
		add(&l.start, "start", leat.CodeUnavailable)
	}
	for at, s := range l.symptoms.All() {
		what, partition := ailments[at>>32], int32(at)
		if what.memory > 0 && !s.Within(what.memory) || ailment(at>>32) == ofGap && l.symptoms.Has(ofGapLimit.place(partition)) {
			continue
		}
		code := what.code
		if code == 0 {
			code = codeOf(s.Err)
		}
		add(s, what.text, code)
	}
	return errs
}

// complaint is an ailment as the log has it: the first error, and the partitions.
type complaint struct {
	err        error
	partitions []int32
}

// complaints returns what is worth a line: what happened once, and what has lasted for a while.
// What else has lines of its own is left out.
func (l *illness) complaints(now time.Time) map[ailment]*complaint {
	found := map[ailment]*complaint{}
	for at, s := range l.symptoms.All() {
		a, partition := ailment(at>>32), int32(at)
		lasted := now.Sub(s.Since)
		if ailments[a].memory == fetchMemory {
			lasted = s.Last.Sub(s.Since) // nobody says that it is over
		}
		switch over := ailments[a].memory > 0 && !s.Within(ailments[a].memory); {
		case over, a == ofSilence, a == ofHandler:
			continue
		case a != ofData && lasted < stallLook, a == ofGap && l.symptoms.Has(ofGapLimit.place(partition)):
			continue
		}
		c := found[a]
		if c == nil {
			c = &complaint{err: s.Err}
			found[a] = c
		}
		if a >= ofFetch && a <= ofNote {
			c.partitions = append(c.partitions, partition)
		}
	}
	return found
}

// logIllness logs what is wrong with the stream, and that nothing is any more. What an outage of
// brokers brings about has the line of that.
func (s *Stream) logIllness() {
	if s.broker.outage.within(fetchMemory) {
		return
	}
	s.mu.Lock()
	found := s.ill.complaints(time.Now())
	s.mu.Unlock()
	for _, a := range slices.Sorted(maps.Keys(found)) {
		c, text, code, partitions := found[a], ailments[a].text, ailments[a].code, ""
		if code == 0 {
			code = codeOf(c.err)
		}
		if len(c.partitions) > 0 {
			partitions = named(c.partitions)
		}
		lineIll.wrong(&s.trouble, fmt.Sprint(a), discreet(c.err), s.sub.Topic, s.sub.Group, text, partitions, code.String())
	}
	if len(found) == 0 {
		lineWell.well(&s.trouble, s.sub.Topic, s.sub.Group)
	}
}

// Health implements [leat.HealthReporter]: it returns nil, or an [*leat.Error] for what is wrong
// with the connections, the group, the fetches, the commits, the gap limit, or data that is gone;
// several are joined.
func (s *Stream) Health() error {
	s.mu.Lock()
	errs := s.ill.report(s.sub.Topic)
	if s.presence != nil && len(s.tenures) == 0 {
		if since, err := s.presence.waiting(s.broker.o.HeartbeatInterval + assignGrace); err != nil {
			errs = append(errs, unhealthy(s.sub.Topic, leat.CodeUnavailable, since, err))
		}
	}
	closed, fatal := s.closed, s.fatal
	s.mu.Unlock()
	if closed {
		return s.broker.life.ErrClosed("health", s.sub.Topic)
	}
	if fatal != nil {
		return fatal
	}
	return fault.Join(append([]error{s.conns.health(s.sub.Topic)}, errs...)...)
}
