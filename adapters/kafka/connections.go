package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Requests of Kafka's protocol.
const (
	produceKey      = 0
	handshakeKey    = 17
	versionsKey     = 18
	authenticateKey = 36
)

// connections watches the connections of one client.
type connections struct {
	outage *outage
	doubts atomic.Int64 // produce requests that were sent and got no answer, or one that leaves the outcome open

	mu     sync.Mutex
	wrong  fault.Symptom // with the last connection or request
	worked bool          // a request was answered once
}

var (
	_ kgo.HookBrokerConnect = (*connections)(nil)
	_ kgo.HookBrokerE2E     = (*connections)(nil)
)

// OnBrokerConnect is called by the client when a connection can be used, or cannot be had. Only an
// answer to a request says that a connection is good.
func (c *connections) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, conn net.Conn, err error) {
	if l, ok := conn.(interface{ ready(err error) }); ok {
		l.ready(err)
	}
	if err != nil {
		c.failed(hostOf(meta), err)
	}
}

// OnBrokerE2E is called by the client after each request.
func (c *connections) OnBrokerE2E(meta kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	err := e2e.Err()
	if err != nil && key == produceKey {
		c.doubts.Add(1)
	}
	switch {
	case err != nil:
		c.failed(hostOf(meta), err)
	case key != versionsKey && key != handshakeKey && key != authenticateKey: // else the broker has not said yet whether it accepts the client
		_ = c.note(nil)
		c.outage.answered(meta)
	}
}

// failed notes an error, of which the host is "" where the client does not say it.
func (c *connections) failed(host string, err error) {
	noted := c.note(err)
	if noted != nil && (!isReset(err) || c.outage.keepsEnding(host)) {
		c.outage.failed(host, noted)
	}
}

// note notes an error, or with nil that a request was answered. It returns the error; nil also
// where it says nothing about the broker, or less than was known.
func (c *connections) note(err error) (noted error) {
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		return nil // the caller or the client ended it, which says nothing about the broker
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong.Err != nil && errors.Is(err, context.DeadlineExceeded) {
		return nil // which says less than what was wrong before
	}
	c.worked = c.worked || err == nil
	if !c.worked && isReset(err) && !hinted(err) {
		err = fmt.Errorf("the broker ends each connection: %w; if it is up, %s", err, adviceEOF)
	}
	c.wrong.Set(err)
	return err
}

// hinted reports whether the client itself says what an end of a connection may mean, which it does
// not tell every hook.
func hinted(err error) bool {
	_, ok := errors.AsType[*kgo.ErrFirstReadEOF](err)
	return ok
}

// last returns what was wrong with the last connection or request; nil when it was good.
func (c *connections) last() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong.Err
}

// health returns what is wrong, as an [*leat.Error]. The topic is that of the stream whose
// connections they are, empty for the Broker's.
func (c *connections) health(topic string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong.Err == nil {
		return nil
	}
	return unhealthy(topic, codeOf(c.wrong.Err), c.wrong.Since, c.wrong.Err)
}

// unhealthy makes the error of a health report, without what a broker says about a login.
func unhealthy(topic string, code leat.Code, since time.Time, err error) error {
	return fault.Health(topic, code, since, discreet(err))
}
