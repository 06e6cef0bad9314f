package cases

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol/gochan"

	"github.com/leatgo/leat/benchmarks/internal/bench"
)

// sdkPath is the CloudEvents SDK's channel protocol: Send on one side; Receive and Finish on the other.
type sdkPath struct {
	*counter
	events    []event.Event
	sender    gochan.Sender
	receivers sync.WaitGroup
	failed    chan error
}

// startSDK returns the set-up of the SDK's channel protocol with a channel of the given depth; its own default is 20.
func startSDK(depth, receivers int) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		events, err := sdkEvents(distinctEvents, distinctEvents)
		if err != nil {
			return nil, err
		}
		queue := make(chan binding.Message, depth)
		s := &sdkPath{counter: newCounter(), events: events, sender: queue, failed: make(chan error, receivers)}
		for range receivers {
			s.receivers.Go(func() { s.failed <- s.receive(context.WithoutCancel(ctx), queue) })
		}
		return s, nil
	}
}

func (s *sdkPath) receive(ctx context.Context, receiver gochan.Receiver) error {
	for {
		m, err := receiver.Receive(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.add()
		if err := m.Finish(nil); err != nil {
			return err
		}
	}
}

// Run sends n events.
func (s *sdkPath) Run(ctx context.Context, n int) error {
	s.expect(n)
	for i := range n {
		if err := s.sender.Send(ctx, binding.ToMessage(&s.events[i%len(s.events)])); err != nil {
			return err
		}
	}
	return s.wait(ctx)
}

// Close ends the receivers.
func (s *sdkPath) Close() error {
	err := s.sender.Close(context.Background())
	s.receivers.Wait()
	close(s.failed)
	for e := range s.failed {
		err = errors.Join(err, e)
	}
	return err
}
