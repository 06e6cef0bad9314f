package watermill_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waitingPublisher is a Publisher without a connection. It waits for one, as long as the context of
// the message lasts where it looks at it.
type waitingPublisher struct {
	looks bool
	end   chan struct{}
}

var errNoConnection = errors.New("connection refused")

func (p *waitingPublisher) Publish(_ string, messages ...*message.Message) error {
	var gone <-chan struct{}
	if p.looks {
		gone = messages[0].Context().Done()
	}
	select {
	case <-gone:
	case <-p.end:
	}
	return errNoConnection
}

func (p *waitingPublisher) Close() error { return nil }

// When the ctx of a publish ends, an event for which the Publisher was not called is refused, and
// so is one whose Publisher looks at the message's context and says that it has not sent it. Any
// other is unknown.
func TestWithdraw(t *testing.T) {
	for name, looks := range map[string]bool{"the Publisher looks at the context": true, "it does not": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pub := &waitingPublisher{looks: looks, end: make(chan struct{})}
				b, err := watermill.New(pub, nil, &watermill.Options{
					NewSubscriber: func(string) (message.Subscriber, error) { return nil, errNoConnection },
					Refused: func(err error) leat.Code {
						if errors.Is(err, errNoConnection) {
							return leat.CodeUnavailable
						}
						return 0
					},
				})
				require.NoError(t, err)
				p := leat.NewProducer(b, nil)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				err = p.Publish(ctx, "t", event(t, "1", "k"), event(t, "2", "k"))
				assert.Less(t, time.Since(begin), 1250*time.Millisecond)
				var e *leat.PublishError
				require.ErrorAs(t, err, &e)
				require.Len(t, e.Failures, 2)
				first := leat.CodeUnknown
				if looks {
					first = leat.CodeUnavailable
				}
				assert.Equal(t, first, leat.CodeOf(e.Failures[0].Err), "%v", err)
				assert.Equal(t, leat.CodeCanceled, leat.CodeOf(e.Failures[1].Err), "%v", err)
				close(pub.end)
				require.NoError(t, b.Close())
			})
		})
	}
}
