package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// nameStarts writes the number of the first offset where a group begins at the start of a partition: the client can only be told to pass
// what it cannot read (goOn) where it knows a number. Without an answer of the cluster all stays as it is.
func (s *Stream) nameStarts(ctx context.Context, offsets map[int32]kgo.Offset) {
	atStart := kgo.NewOffset().AtStart()
	some := false
	for _, offset := range offsets {
		some = some || offset == atStart
	}
	if !some {
		return
	}
	ctx, cancel := s.broker.bounded(ctx)
	defer cancel()
	starts, err := within(ctx, func() (kadm.ListedOffsets, error) { return s.broker.admin.ListStartOffsets(ctx, s.sub.Topic) })
	if err != nil {
		return
	}
	for p, offset := range offsets {
		start, ok := starts.Lookup(s.sub.Topic, p)
		if ok && start.Err == nil && start.Offset >= 0 && offset == atStart {
			offsets[p] = kgo.NewOffset().At(start.Offset)
		}
	}
}
