//go:build !race

package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/watermill/amqp"
	"github.com/leatgo/leat/internal/brokertest"
	native "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of this file cannot run under the race detector, for the reason that TestRestart has.

// closeConnections closes all connections of a node, and waits until the clients have made as many
// again.
func closeConnections(t *testing.T, node *brokertest.RabbitMQNode) {
	t.Helper()
	ctx := within(t)
	before, err := node.Connections(ctx)
	require.NoError(t, err)
	old := map[string]bool{}
	for _, c := range before {
		old[c.PID] = true
	}
	_, err = node.CloseConnections(ctx, nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		now, err := node.Connections(ctx)
		fresh := 0
		for _, c := range now {
			if !old[c.PID] {
				fresh++
			}
		}
		return err == nil && fresh == len(before)
	}, patience, 10*time.Millisecond)
}

// TestLostConnections: a channel that was idle while its connection was lost still notices what no
// queue takes, declares its exchange again, and reports no outcome as unknown, since nothing was on
// its way.
func TestLostConnections(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	leavesNothing(t)
	e := event(t, &leat.EventOptions{Source: "/s"})

	b := open(t, amqp.Options{URL: node.URL(), Channels: 1})
	p, topic := leat.NewProducer(b, nil), group("nobody").Topic
	for i := range 3 {
		err := p.Publish(within(t), topic, e)
		require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%d: %v", i, err)
		closeConnections(t, node)
	}
	require.NoError(t, node.DeleteExchange(within(t), "/", topic))
	err := p.Publish(within(t), topic, e)
	require.Equal(t, leat.CodeNotFound, leat.CodeOf(err), "%v", err)
	exchanges, err := node.Exchanges(within(t), "/")
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(exchanges), topic, "it was declared again")

	b = open(t, amqp.Options{URL: node.URL()})
	p = leat.NewProducer(b, nil)
	sub := group("idle")
	require.NoError(t, leat.Declare(t.Context(), b, sub))
	for range 3 {
		for range 128 {
			require.NoError(t, p.Publish(within(t), sub.Topic, e))
		}
		closeConnections(t, node)
	}
	for range 128 {
		require.NoError(t, p.Publish(within(t), sub.Topic, e))
	}
}

// sockets returns an option that tells of every socket of the client.
func sockets(made chan<- net.Conn) func(c *wmamqp.Config) {
	return func(c *wmamqp.Config) {
		c.Connection.AmqpConfig.Dial = func(network, address string) (net.Conn, error) {
			conn, err := native.DefaultDial(patience)(network, address)
			if err == nil {
				made <- conn
			}
			return conn, err
		}
	}
}

// TestLostWhilePublishing: of one that publishes one event after the other, only the one that is on
// its way is unknown when the connection is lost, however many channels there are, and nothing is
// refused.
func TestLostWhilePublishing(t *testing.T) {
	leavesNothing(t)
	made := make(chan net.Conn, 1)
	b := open(t, amqp.Options{AllowUnroutable: true, Configure: sockets(made)})
	p, topic := leat.NewProducer(b, nil), group("lost").Topic
	e := event(t, &leat.EventOptions{Source: "/s"})
	const times = 20
	over, done := make(chan struct{}), make(chan struct{})
	unknown := 0
	go func() {
		defer close(done)
		for {
			select {
			case <-over:
				return
			default:
			}
			switch err := p.Publish(t.Context(), topic, e); leat.CodeOf(err) {
			case 0:
			case leat.CodeUnknown:
				unknown++
			default:
				assert.NoError(t, err)
			}
		}
	}()
	for range times {
		conn := <-made
		for range 128 { // so that every channel is used, and idle when the connection is lost
			require.NoError(t, p.Publish(within(t), topic, e))
		}
		require.NoError(t, conn.Close())
	}
	close(over)
	<-done
	<-made
	require.NoError(t, p.Publish(within(t), topic, e), "by the next connection")
	t.Logf("%d unknown", unknown)
	assert.LessOrEqual(t, unknown, times)
}

// report publishes events in the background and returns where their outcomes will be.
func report(b leat.Broker, topic string, events ...leat.Event) <-chan error {
	outcomes := make(chan error, len(events))
	b.Publish(context.Background(), topic, events, func(_ int, err error) { outcomes <- err })
	return outcomes
}

// TestLostAndClosed: when there is no connection, Close waits for none, and what was never sent is
// not unknown.
func TestLostAndClosed(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	refused := make(chan struct{}, 1)
	b, err := amqp.New(&amqp.Options{URL: node.URL(), Channels: 2, Configure: func(c *wmamqp.Config) {
		c.Connection.AmqpConfig.Dial = func(network, address string) (net.Conn, error) {
			conn, err := native.DefaultDial(patience)(network, address)
			if err != nil {
				select {
				case refused <- struct{}{}:
				default:
				}
			}
			return conn, err
		}
	}})
	require.NoError(t, err)
	require.NoError(t, node.Stop())
	<-refused // the lost connection was noticed
	events := make([]leat.Event, 10)
	for i := range events {
		events[i] = event(t, &leat.EventOptions{Source: "/s"})
	}
	outcomes := report(b, group("lost").Topic, events...)
	begun := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begun), 3*time.Second)
	for range events {
		err := <-outcomes
		assert.Contains(t, []leat.Code{leat.CodeUnavailable, leat.CodeClosed}, leat.CodeOf(err), "%v", err)
	}
}

// TestLostInAnAlarm: while the broker is out of memory and answers nothing, Close ends the
// connection before its CloseTimeout, and what the broker may have is unknown.
func TestLostInAnAlarm(t *testing.T) {
	node := brokertest.StartRabbitMQ(t, nil)
	made := make(chan net.Conn, 3)
	b, err := amqp.New(&amqp.Options{
		URL: node.URL(), Channels: 1, AllowUnroutable: true, CloseTimeout: 8 * time.Second, Configure: sockets(made),
	})
	require.NoError(t, err)
	sub := group("alarm")
	require.NoError(t, leat.Declare(within(t), b, sub))
	e := event(t, &leat.EventOptions{Source: "/s"})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e))
	require.NoError(t, node.MemoryAlarm(within(t), true))
	last := report(b, sub.Topic, e) // the last that it reads
	require.Eventually(t, func() bool {
		all, err := node.Connections(within(t))
		blocked := 0
		for _, c := range all {
			if c.State == "blocked" {
				blocked++
			}
		}
		return err == nil && blocked == 1
	}, patience, 10*time.Millisecond)
	require.NoError(t, <-last)
	outcomes := report(b, sub.Topic, e)
	begun := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begun), 8*time.Second)
	assert.Equal(t, leat.CodeUnknown, leat.CodeOf(<-outcomes))
	for range 2 {
		require.ErrorIs(t, (<-made).SetDeadline(time.Time{}), net.ErrClosed)
	}
}

// TestLostWhileIdle: a stream that has got nothing says that its connection is lost, and gets what
// comes afterwards.
func TestLostWhileIdle(t *testing.T) {
	leavesNothing(t)
	made := make(chan net.Conn, 100)
	var down atomic.Bool
	b := open(t, amqp.Options{Configure: func(c *wmamqp.Config) {
		sockets(made)(c)
		inner := c.Connection.AmqpConfig.Dial
		c.Connection.AmqpConfig.Dial = func(network, address string) (net.Conn, error) {
			if down.Load() {
				return nil, errors.New("the broker is down")
			}
			return inner(network, address)
		}
	}})
	sub := group("idle")
	stream, err := b.Subscribe(within(t), sub)
	require.NoError(t, err)
	defer func() { assert.NoError(t, stream.Close(within(t))) }()
	<-made // that of the publishes
	conn := <-made
	received := make(chan leat.Delivery, 1)
	go func() {
		into := make([]leat.Delivery, 1)
		if n, err := stream.Receive(within(t), into); n == 1 && assert.NoError(t, err) {
			received <- into[0]
		}
	}()
	consuming, ok := stream.(leat.HealthReporter)
	require.True(t, ok)
	down.Store(true)
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return consuming.Health() != nil }, patience, time.Millisecond)
	require.NoError(t, b.Health(), "publishing has its own connection")
	down.Store(false)
	require.Eventually(t, func() bool { return consuming.Health() == nil }, patience, time.Millisecond)
	e := event(t, &leat.EventOptions{Source: "/s"})
	require.NoError(t, leat.NewProducer(b, nil).Publish(within(t), sub.Topic, e))
	select {
	case d := <-received:
		assert.True(t, d.Event.Equal(e))
		stream.Settle(&d, leat.Settlement{Action: leat.Ack})
	case <-time.After(patience):
		t.Error("nothing comes")
	}
}
