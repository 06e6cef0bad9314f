package leat

import "context"

// Withdrawer is implemented by a [Broker] whose Publish accepts events that it may begin to send later, such as while there is no
// connection. The [Producer] calls it when the ctx of a synchronous publish ends, so that an event that never left the process is
// reported as refused and not as unknown.
type Withdrawer interface {
	// Withdraw refuses events that were accepted for topic and that nothing was sent of yet.
	//
	// W1. An event that it refuses is done, before Withdraw returns, with [CodeUnavailable] and what is wrong with the connection, or
	// with [CodeCanceled] where nothing is. It is not stored and never will be.
	// W2. An event that may have been sent, even in part, is left alone, and so is one that is done.
	// W3. It does not wait for the network. ctx has ended, and its cause is a part of the errors.
	// W4. An event is found by its source and id, since a middleware may have changed the rest. One that another call publishes to the
	// same topic at that time may be refused too.
	Withdraw(ctx context.Context, topic string, events []Event)
}

// withdraw asks the broker to refuse what c waits for and nothing was sent of. The Publish whose ctx has ended calls it.
func (c *publishCall) withdraw(ctx context.Context) {
	if c.p.withdrawer == nil {
		return
	}
	c.mu.Lock()
	open := make([]Event, 0, c.left)
	for i, err := range c.errs {
		if err == errPending { //nolint:errorlint // a mark, never wrapped there
			open = append(open, c.events[i])
		}
	}
	c.mu.Unlock()
	c.p.withdrawer.Withdraw(ctx, c.topic, open)
}
