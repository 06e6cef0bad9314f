package watermill

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
)

// Groups gives groups to a Pub/Sub that has none and sends every message to every subscription,
// such as gochannel: within the process, the members of a group share one subscription for each
// topic. It begins with the first SubscribeInitialize or Subscribe of the group, and lasts until
// Close, so that nothing is lost while the group has no member. What members do not ack, they nack
// when they leave.
type Groups struct {
	sub    message.Subscriber
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	shared map[topicGroup]<-chan *message.Message
}

type topicGroup struct{ topic, group string }

// NewGroups returns Groups over a Subscriber, which stays the caller's to close.
func NewGroups(sub message.Subscriber) *Groups {
	g := &Groups{sub: sub, shared: map[topicGroup]<-chan *message.Message{}}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Subscriber returns a member of a group, for [Options].NewSubscriber. It has no error but fits
// there.
func (g *Groups) Subscriber(group string) (message.Subscriber, error) {
	m := &member{groups: g, group: group}
	m.ctx, m.cancel = context.WithCancel(g.ctx)
	return m, nil
}

// Close ends the subscriptions of all groups. The error is always nil.
func (g *Groups) Close() error {
	g.cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, messages := range g.shared {
		refuse(messages)
	}
	clear(g.shared)
	return nil
}

// subscription returns what a group shares.
func (g *Groups) subscription(key topicGroup) (<-chan *message.Message, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return nil, errors.New("the groups are closed")
	}
	if nils.Is(g.sub) {
		return nil, &leat.Error{Op: "subscribe", Topic: key.topic, Code: leat.CodeInvalid, Err: errors.New("the Subscriber of the Groups is nil")}
	}
	if messages := g.shared[key]; messages != nil {
		return messages, nil
	}
	messages, err := g.sub.Subscribe(g.ctx, key.topic)
	if err == nil {
		g.shared[key] = messages
	}
	return messages, err
}

// member is one Subscriber of a group.
type member struct {
	groups *Groups
	group  string
	ctx    context.Context
	cancel context.CancelFunc
	pumps  sync.WaitGroup
}

var _ message.SubscribeInitializer = (*member)(nil)

// SubscribeInitialize lets the group begin, so that it misses nothing from then on.
func (m *member) SubscribeInitialize(topic string) error {
	_, err := m.groups.subscription(topicGroup{topic, m.group})
	return err
}

// Subscribe takes part in what the group shares until ctx ends or the member is closed.
func (m *member) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if m.ctx.Err() != nil {
		return nil, errors.New("the Subscriber is closed")
	}
	shared, err := m.groups.subscription(topicGroup{topic, m.group})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(m.ctx, cancel)
	out := make(chan *message.Message)
	m.pumps.Go(func() {
		defer cancel()
		defer stop()
		defer close(out)
		pump(ctx, shared, out)
	})
	return out, nil
}

// pump hands on what a group shares, until ctx ends or the group does.
func pump(ctx context.Context, shared <-chan *message.Message, out chan<- *message.Message) {
	for {
		select {
		case next := <-shared:
			if next == nil {
				return
			}
			select {
			case out <- next:
			case <-ctx.Done():
				next.Nack()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close ends the member's subscriptions.
func (m *member) Close() error {
	m.cancel()
	m.pumps.Wait()
	return nil
}
