package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/leatgo/leat"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unreadable is a batch of records that the client cannot read, and that the stream passes: it
// becomes one malformed delivery, so that no record goes missing without a word.
type unreadable struct {
	first, next int64 // its offsets are from first to below next
	epoch       int32
	stopped     bool // the client has stopped there, and goes on only when it is told where
	reason      error
}

// unreadableIn returns what an error of a fetch says that the client cannot read, nil when the
// error is of another kind. These are the two errors after which the client never reads the same
// records again (TestPartitionErrors has all of its errors).
func (s *Stream) unreadableIn(t *tenure, err error) *unreadable {
	if t == nil {
		return unreadableIn(s.client, 0, err)
	}
	return unreadableIn(s.client, t.passed, err)
}

// unreadableIn is the same for any client that has come to the offset passed.
func unreadableIn(client *kgo.Client, passed int64, err error) *unreadable {
	if big, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); ok {
		return &unreadable{first: big.Offset, next: big.NextOffset, epoch: big.Epoch, stopped: true, reason: fmt.Errorf(
			"%s: they decompress to more than %v bytes, the limit of the client; to read such records, raise kgo.MaxDecompressBatchBytes"+
				" in Options.Client", offsets(big.Offset, big.NextOffset), client.OptValue(kgo.MaxDecompressBatchBytes))}
	}
	var magic, length int
	var offset int64
	if n, _ := fmt.Sscanf(err.Error(), unknownMagic, &magic, &offset, &length); n == 3 && offset >= passed {
		return &unreadable{first: offset, next: offset + 1, epoch: -1, reason: fmt.Errorf(
			"%s: they have the format version %d, which the client does not know", offsets(offset, offset+1), magic)}
	}
	return nil
}

// unknownMagic is the client's error for a record format that it does not know. It goes on behind
// the first offset of such records.
const unknownMagic = "unknown magic %d; message offset is %d and length is %d, skipping and setting to next offset"

// offsets names the records from first to below next.
func offsets(first, next int64) string {
	if next-first > 1 {
		return fmt.Sprintf("the records from offset %d to offset %d cannot be read", first, next-1)
	}
	return fmt.Sprintf("the record at offset %d cannot be read", first)
}

func (u *unreadable) malformed() *leat.Malformed { return &leat.Malformed{Reason: u.reason} }

// asPlace is the delivery in a window.
func (u *unreadable) asPlace() place {
	return place{offset: u.next - 1, before: u.next - 1 - u.first, epoch: u.epoch}
}

// garbled is what a stream passes from time to time: an incident, which is over when there was
// nothing more for a while.
type garbled struct {
	partition int32
	what      *unreadable // the first one of the incident; nil before there was one
	last      time.Time   // when the stream passed the last one
}

// pass enters what cannot be read behind what was polled before it. The lock is held.
func (s *Stream) pass(t *tenure, u *unreadable) {
	if t.rewind {
		return // it comes again
	}
	t.passed, t.next = u.next, u.next
	if u.epoch > t.aboveEpoch {
		t.above = t.above.below(u.first) // the log was truncated and written anew
	}
	if t.above.has(u.next - 1) {
		return // it was finished in an earlier tenure
	}
	s.polled = append(s.polled, chunk{tenure: t, bad: u})
	now := time.Now()
	if s.garbled.what == nil || now.Sub(s.garbled.last) >= eventMemory {
		s.garbled.partition, s.garbled.what = t.partition, u
	}
	s.garbled.last = now
}

// logUnreadable writes the beginning and the end of an incident of what cannot be read. Each
// delivery says more.
func (s *Stream) logUnreadable() {
	s.mu.Lock()
	garbled := s.garbled
	s.mu.Unlock()
	switch u := garbled.what; {
	case u == nil:
	case time.Since(garbled.last) < eventMemory:
		lineUnreadable.wrong(&s.unread, "", u.reason, s.sub.Topic, s.sub.Group, garbled.partition, u.first, u.next)
	default:
		lineReadable.well(&s.unread, s.sub.Topic, s.sub.Group)
	}
}

// goOn tells the client where to go on. No new tenure of the partition may begin meanwhile, which
// the offset would hit; assigned waits for that.
func (s *Stream) goOn(at map[int32]kgo.EpochOffset) {
	if len(at) > 0 {
		s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.sub.Topic: at})
	}
}
