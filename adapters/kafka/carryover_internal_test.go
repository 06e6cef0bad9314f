package kafka

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// oneStuck is a stream that has handled offsets 1 and 2, and 0 not, whose group had come to 0 with
// this note.
func oneStuck(t *testing.T, committed commit) *loose {
	t.Helper()
	l := newLoose(t, 1<<20)
	l.broker.o.Logger, l.broker.o.GapLimit = slog.New(slog.DiscardHandler), 100
	l.presence = newPresence(&l.broker.o)
	l.conns = &connections{}
	l.tenures[0].committed, l.tenures[0].tried = committed, committed
	for range 3 {
		l.put("", "")
	}
	_, got := l.get(3)
	l.settle(leat.Ack, got[1:]...)
	return l
}

// noted is the commit that is due, and fails where none is.
func (l *loose) noted() note {
	l.t.Helper()
	due := l.gather(l.all())
	require.Len(l.t, due, 1, "nothing is to be committed")
	require.EqualValues(l.t, 0, due[0].at.Offset)
	return due[0].note
}

// TestFinishedBeforeASuspensionIsCommitted: what finished while the group did not answer is still
// to be committed when the stream goes on, though nothing else finishes then.
func TestFinishedBeforeASuspensionIsCommitted(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]commit{"begun at the start": {offset: -1}, "committed before": {offset: 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := oneStuck(t, committed)
			l.suspend(0)
			assert.Equal(t, spans{{1, 3}}, l.noted().above)
		})
	}
}

// TestFinishedBeforeALossIsCommitted: the same where the group took the partition and gave it back,
// and nobody else had it.
func TestFinishedBeforeALossIsCommitted(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]commit{"begun at the start": {offset: -1}, "committed before": {offset: 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := oneStuck(t, committed)
			l.end(l.all())
			l.begin(0)
			offset := kgo.NewOffset().AtStart()
			if committed.offset >= 0 {
				offset = kgo.NewOffset().At(committed.offset)
			}
			l.resume(map[int32]kgo.Offset{0: offset})
			assert.Equal(t, spans{{1, 3}}, l.noted().above)
		})
	}
}

// TestRevokedTenureOfADeletedTopic: a tenure that ended because its topic was deleted, and that is
// given up then, leaves nothing that the stream would go on from in the new topic.
func TestRevokedTenureOfADeletedTopic(t *testing.T) {
	t.Parallel()
	l := newLoose(t, 1<<20)
	l.put("", "")
	_, got := l.get(1)
	l.settle(leat.Ack, got...)
	revoked := l.stopPartitions(map[string][]int32{"t": {0}})
	l.end(l.all())
	l.progress = map[int32]progress{} // as moveTo does
	assert.Equal(t, []int64{-1}, l.end(revoked))
	assert.Empty(t, l.progress)
}

// TestUnreadableOfATruncatedLog: records that cannot be read, of a later leader epoch than all that
// was finished, are not those.
func TestUnreadableOfATruncatedLog(t *testing.T) {
	t.Parallel()
	l := oneStuck(t, commit{offset: 0})
	tn := l.tenures[0]
	tn.above, tn.aboveEpoch = spans{{3, 9}}, 4
	l.pass(tn, &unreadable{first: 3, next: 5, epoch: 4, reason: errors.New("too large")})
	assert.Empty(t, l.polled, "it was finished")
	l.pass(tn, &unreadable{first: 5, next: 7, epoch: 5, reason: errors.New("too large")})
	assert.Len(t, l.polled, 1, "another one")
	assert.Equal(t, spans{{3, 5}}, tn.above)
}

// TestLateCommitOfADeletedTopic: an offset that this stream has committed of the topic that was
// deleted is not where it begins in the new one; an offset that somebody else has committed is.
func TestLateCommitOfADeletedTopic(t *testing.T) {
	t.Parallel()
	for at, want := range map[int64]kgo.Offset{
		5: kgo.NewOffset().AtStart(), 7: kgo.NewOffset().AtStart(), 6: kgo.NewOffset().At(6),
	} {
		l := newLoose(t, 1<<20)
		l.ident.stale = map[int32]progress{0: {committed: commit{offset: 5}, tried: commit{offset: 7}}}
		offsets := map[int32]kgo.Offset{0: kgo.NewOffset().At(at)}
		l.resume(offsets)
		assert.Equal(t, want, offsets[0], "the group has %d", at)
	}
}
