package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// illness is what is wrong with a stream. The stream's lock guards it.
type illness struct {
	commit     symptom            // of the last commit
	group      symptom            // of the group session
	start      symptom            // of where the group has begun
	topic      symptom            // of the topic as a whole, or of a whole answer
	partitions map[int32]*symptom // of fetching
	stalls     map[int32]*symptom // partitions from which nothing comes
	gaps       map[int32]*symptom
	above      map[int32]*symptom // many events finished above one that is not
	missing    map[int32]*symptom // finished events that the commit has no room for
	data       symptom            // the last loss of data
	silence    symptom            // of the group
	overrun    symptom            // the last handler that outlasted a revoke
}

type symptom struct {
	err   error
	since time.Time
	last  time.Time
}

func (s *symptom) set(err error) {
	now := time.Now()
	if s.err == nil {
		s.since = now
	}
	s.err, s.last = err, now
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
		l.data.err = nil
		l.data.set(loss)
	case isSession:
		l.group.set(session)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, kgo.ErrClientClosed):
		// the poll was ended by the stream itself
	case partition < 0:
		l.topic.set(err)
	default:
		if l.partitions[partition] == nil {
			l.partitions[partition] = &symptom{}
		}
		l.partitions[partition].set(err)
	}
}

// fetched notes that records came, for which the group session must work.
func (l *illness) fetched(partition int32) {
	l.group.err, l.topic.err = nil, nil
	delete(l.partitions, partition)
	delete(l.stalls, partition)
}

// lost notes that the topic has not kept what the group had not handled yet.
func (l *illness) lost(partition int32, committed, first int64) {
	l.data.err = nil
	l.data.set(fmt.Errorf("partition %d has no records before offset %d any more, and the group had come to %d: what was between is lost",
		partition, first, committed))
}

func (l *illness) committed(err error) {
	if err != nil {
		l.commit.set(err)
	} else {
		l.commit.err = nil
	}
}

func (l *illness) gapReached(partition int32, offset int64) {
	l.gaps[partition] = &symptom{}
	l.gaps[partition].set(fmt.Errorf("partition %d is paused: the event at offset %d is not finished, and GapLimit later ones are",
		partition, offset))
}

func (l *illness) gapClosed(partition int32) { delete(l.gaps, partition) }

// noted notes what a commit says of a partition besides its offset: how many events are finished above it, and how many of them it had no
// room for.
func (l *illness) noted(partition int32, p *pending, bound int) {
	set := func(in *map[int32]*symptom, when bool, format string, args ...any) {
		switch {
		case !when:
			delete(*in, partition)
			return
		case *in == nil:
			*in = map[int32]*symptom{}
		}
		if (*in)[partition] == nil {
			(*in)[partition] = &symptom{}
		}
		(*in)[partition].set(fmt.Errorf(format, args...))
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
	if l.silence.err = nil; err != nil {
		l.silence.set(err)
	}
}

func (l *illness) overran(err error) {
	l.overrun.err = nil
	l.overrun.set(err)
}

// forget drops what concerns a partition that the stream does not have any more.
func (l *illness) forget(partition int32) {
	delete(l.partitions, partition)
	delete(l.stalls, partition)
	delete(l.gaps, partition)
	delete(l.above, partition)
	delete(l.missing, partition)
}

// report returns all that is wrong now.
func (l *illness) report(topic string) (errs []error) {
	now := time.Now()
	add := func(s *symptom, memory time.Duration, text string, code leat.Code) {
		if s.err != nil && (memory == 0 || now.Sub(s.last) < memory) {
			errs = append(errs, unhealthy(topic, code, s.since, fmt.Errorf("%s: %w", text, s.err)))
		}
	}
	add(&l.group, fetchMemory, "the group", codeOf(l.group.err))
	add(&l.topic, fetchMemory, "the topic", codeOf(l.topic.err))
	add(&l.silence, 0, "the group", leat.CodeUnavailable)
	add(&l.commit, 0, "committing offsets", codeOf(l.commit.err))
	for _, p := range slices.Sorted(maps.Keys(l.partitions)) {
		add(l.partitions[p], fetchMemory, fmt.Sprintf("fetching from partition %d", p), codeOf(l.partitions[p].err))
	}
	for _, p := range slices.Sorted(maps.Keys(l.stalls)) {
		add(l.stalls[p], 0, "silence", leat.CodeStalled)
	}
	for _, p := range slices.Sorted(maps.Keys(l.gaps)) {
		add(l.gaps[p], 0, "gap limit", leat.CodeStalled)
	}
	for _, p := range slices.Sorted(maps.Keys(l.above)) {
		if l.gaps[p] == nil {
			add(l.above[p], 0, "gap", leat.CodeStalled)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(l.missing)) {
		add(l.missing[p], 0, "gap", leat.CodeExhausted)
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
	return join(append([]error{s.conns.health(s.sub.Topic)}, errs...))
}
