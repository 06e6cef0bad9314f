package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fromTheEnd begins the tenures of all partitions and returns where each ends now, so that
// everything that is published after Subscribe has returned is delivered.
func (s *Stream) fromTheEnd(ctx context.Context, partitions int) (map[int32]kgo.Offset, error) {
	ends, err := s.broker.endOffsets(ctx, s.sub.Topic)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		end, ok := ends.Lookup(s.sub.Topic, p)
		if !ok {
			continue
		}
		offsets[p] = kgo.NewOffset().At(end.Offset)
		s.begin(p)
		s.tenures[p].next = end.Offset
	}
	return offsets, nil
}

// partitionsEvery is how often the stream looks for new partitions: as often as the client does.
func (s *Stream) partitionsEvery() time.Duration {
	every, ok := s.client.OptValue(kgo.MetadataMaxAge).(time.Duration)
	if !ok {
		every = metadataMaxAge
	}
	return every
}

// addPartitions adds partitions that the topic got later, from their first record on.
func (s *Stream) addPartitions() {
	ctx, cancel := s.broker.bounded(s.client.Context())
	defer cancel()
	partitions, err := s.broker.partitions(ctx, s.sub.Topic)
	if err != nil {
		return // health knows of connections; the next tick tries again
	}
	added := map[int32]kgo.Offset{}
	s.mu.Lock()
	for p := range int32(partitions) {
		if s.tenures[p] == nil && !s.closed {
			s.begin(p)
			s.tenures[p].next = 0
			added[p] = kgo.NewOffset().AtStart()
		}
	}
	s.mu.Unlock()
	if len(added) > 0 {
		s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.sub.Topic: added})
	}
}
