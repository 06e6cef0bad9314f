package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// illness is what is wrong with a stream. The stream's lock guards it.
type illness struct {
	commit     fault.Symptom         // of the last commit
	group      fault.Symptom         // of the group session
	start      fault.Symptom         // of where the group has begun
	topic      fault.Symptom         // of the topic as a whole, or of a whole answer
	partitions fault.Symptoms[int32] // of fetching
	stalls     fault.Symptoms[int32] // partitions from which nothing comes
	gaps       fault.Symptoms[int32]
	above      fault.Symptoms[int32] // many events finished above one that is not
	missing    fault.Symptoms[int32] // finished events that the commit has no room for
	data       fault.Symptom         // the last loss of data
	silence    fault.Symptom         // of the group
	overrun    fault.Symptom         // the last handler that outlasted a revoke
}

const (
	// fetchMemory is how long a failed fetch counts that was not repeated: the client says when a fetch fails, but not when an empty one
	// succeeds.
	fetchMemory = 10 * time.Second
	// eventMemory is how long something that happened once is shown.
	eventMemory = 5 * time.Minute
)

// assignGrace is how long, beyond a heartbeat, members of a group take to join a rebalance; a new group waits 3 s for more members.
const assignGrace = 3 * time.Second

// fetchFailed notes an error of polling.
func (l *illness) fetchFailed(partition int32, err error) {
	loss, isLoss := errors.AsType[*kgo.ErrDataLoss](err)
	session, isSession := errors.AsType[*kgo.ErrGroupSession](err)
	switch {
	case isLoss:
		l.data.Err = nil
		l.data.Set(loss)
	case isSession:
		l.group.Set(session)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		// the poll was ended by the stream itself
	case partition < 0:
		l.topic.Set(err)
	default:
		l.partitions.Set(partition, err)
	}
}

// fetched notes that records came, for which the group session must work.
func (l *illness) fetched(partition int32) {
	l.group.Err, l.topic.Err = nil, nil
	l.partitions.Set(partition, nil)
	l.stalls.Set(partition, nil)
}

// lost notes that the topic has not kept what the group had not handled yet.
func (l *illness) lost(partition int32, committed, first int64) {
	l.data.Err = nil
	l.data.Set(fmt.Errorf("partition %d has no records before offset %d any more, and the group had come to %d: what was between is lost",
		partition, first, committed))
}

func (l *illness) committed(err error) {
	l.commit.Set(err)
}

func (l *illness) gapReached(partition int32, offset int64) {
	l.gaps.Set(partition, fmt.Errorf("partition %d is paused: the event at offset %d is not finished, and GapLimit later ones are",
		partition, offset))
}

func (l *illness) gapClosed(partition int32) { l.gaps.Set(partition, nil) }

// noted notes what a commit says of a partition besides its offset: how many events are finished above it, and how many of them it had no
// room for.
func (l *illness) noted(partition int32, p *pending, bound int) {
	set := func(in *fault.Symptoms[int32], when bool, format string, args ...any) {
		var err error
		if when {
			err = fmt.Errorf(format, args...)
		}
		in.Set(partition, err)
	}
	finished := p.note.above.count()
	set(&l.above, finished >= int64(bound), "partition %d: the event at offset %d is not finished, and %d later ones are",
		partition, p.at.Offset, finished)
	set(&l.missing, p.missing > 0, "partition %d: %d of %d events that are finished above offset %d do not fit into the commit's metadata, "+
		"and are handled again after a restart; see which events do not finish, or lower MaxInFlight",
		partition, p.missing, finished, p.at.Offset)
}

// silent notes that the group has not answered for the session timeout, or with nil that it has again.
func (l *illness) silent(err error) {
	l.silence = fault.Symptom{}
	l.silence.Set(err)
}

func (l *illness) overran(err error) {
	l.overrun.Err = nil
	l.overrun.Set(err)
}

// forget drops what concerns a partition that the stream does not have any more.
func (l *illness) forget(partition int32) {
	for _, of := range []*fault.Symptoms[int32]{&l.partitions, &l.stalls, &l.gaps, &l.above, &l.missing} {
		of.Set(partition, nil)
	}
}

// report returns all that is wrong now.
func (l *illness) report(topic string) (errs []error) {
	add := func(s *fault.Symptom, memory time.Duration, text string, code leat.Code) {
		if s.Err != nil && (memory == 0 || s.Within(memory)) {
			errs = append(errs, unhealthy(topic, code, s.Since, fmt.Errorf("%s: %w", text, s.Err)))
		}
	}
	add(&l.group, fetchMemory, "the group", codeOf(l.group.Err))
	add(&l.topic, fetchMemory, "the topic", codeOf(l.topic.Err))
	add(&l.silence, 0, "the group", leat.CodeUnavailable)
	add(&l.commit, 0, "committing offsets", codeOf(l.commit.Err))
	for p, s := range l.partitions.All() {
		add(s, fetchMemory, fmt.Sprintf("fetching from partition %d", p), codeOf(s.Err))
	}
	for _, s := range l.stalls.All() {
		add(s, 0, "silence", leat.CodeStalled)
	}
	for _, s := range l.gaps.All() {
		add(s, 0, "gap limit", leat.CodeStalled)
	}
	for p, s := range l.above.All() {
		if !l.gaps.Has(p) {
			add(s, 0, "gap", leat.CodeStalled)
		}
	}
	for _, s := range l.missing.All() {
		add(s, 0, "gap", leat.CodeExhausted)
	}
	add(&l.start, eventMemory, "start", leat.CodeUnavailable)
	add(&l.data, eventMemory, "data loss", leat.CodeUnavailable)
	add(&l.overrun, eventMemory, "slow handler", leat.CodeHandler)
	return errs
}

// Health implements [leat.HealthReporter]: it returns nil, or an [*leat.Error] for what is wrong with the connections, the group, the
// fetches, the commits, the gap limit, or data that is gone; several are joined.
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
		return closedError("health", s.sub.Topic)
	}
	if fatal != nil {
		return fatal
	}
	return fault.Join(append([]error{s.conns.health(s.sub.Topic)}, errs...)...)
}
