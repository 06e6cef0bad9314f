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
	"github.com/leatgo/leat/benchmarks/internal/load"
)

// sdkPath is the CloudEvents SDK's channel protocol: Send on one side; Receive and Finish on the
// other.
type sdkPath struct {
	*load.Counter

	next      func(i int) (*event.Event, error)
	sender    gochan.Sender
	receivers sync.WaitGroup
	failed    chan error
}

// sdkOptions say what a case of the SDK does.
type sdkOptions struct {
	// depth is that of the channel; the SDK's own default is 20.
	depth, receivers int
	// made makes every event when it is published, instead of before.
	made bool
}

// startSDK returns the set-up of the SDK's channel protocol.
func startSDK(o sdkOptions) func(context.Context, int) (bench.Instance, error) {
	return func(ctx context.Context, _ int) (bench.Instance, error) {
		next, err := supply(distinctEvents, o.made, func(id, key string, data []byte) (*event.Event, error) {
			e, err := newSDKEvent(id, key, data)
			return &e, err
		})
		if err != nil {
			return nil, err
		}
		queue := make(chan binding.Message, o.depth)
		s := &sdkPath{Counter: load.NewCounter(), next: next, sender: queue, failed: make(chan error, o.receivers)}
		for range o.receivers {
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
		s.Add()
		if err := m.Finish(nil); err != nil {
			return err
		}
	}
}

// Run sends n events.
func (s *sdkPath) Run(ctx context.Context, n int) error {
	s.Expect(n)
	for i := range n {
		e, err := s.next(i)
		if err != nil {
			return err
		}
		if err := s.sender.Send(ctx, binding.ToMessage(e)); err != nil {
			return err
		}
	}
	return s.Wait(ctx)
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
