package gcppubsub

import (
	"context"
	"sync"

	vkit "cloud.google.com/go/pubsub/v2/apiv1"
)

// mostPulls is how many streaming pulls share a connection. Google's servers take about 100 streams
// of one; a call more waits until another ends, and a pull does not end.
const mostPulls = 50

// newSubscriptions makes a client with a connection of its own.
func newSubscriptions(o *Options) (*vkit.SubscriptionAdminClient, error) {
	c, err := vkit.NewSubscriptionAdminClient(context.Background(), new(link).options(o)...)
	if err != nil {
		return nil, errCredentials()
	}
	*c.CallOptions = vkit.SubscriptionAdminCallOptions{} // the client repeats nothing
	return c, nil
}

// outlet is a connection for streaming pulls.
type outlet struct {
	*vkit.SubscriptionAdminClient

	pulls int // guarded by outlets.mu
}

// outlets are the connections for streaming pulls, as many as needed. They stay until Close; gRPC
// ends a connection that is idle for long.
type outlets struct {
	o *Options

	mu     sync.Mutex
	all    []*outlet
	closed bool
}

// take returns a connection for one more pull. Give it back.
func (x *outlets) take() (*outlet, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, errShutdown
	}
	for _, o := range x.all {
		if o.pulls < mostPulls {
			o.pulls++
			return o, nil
		}
	}
	c, err := newSubscriptions(x.o)
	if err != nil {
		return nil, err
	}
	o := &outlet{SubscriptionAdminClient: c, pulls: 1}
	x.all = append(x.all, o)
	return o, nil
}

// giveBack is the end of a pull.
func (x *outlets) giveBack(o *outlet) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o.pulls--
}

func (x *outlets) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	for _, o := range x.all {
		_ = o.Close()
	}
}
