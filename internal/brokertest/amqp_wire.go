package brokertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// amqpHeader begins a connection of AMQP 0-9-1.
const amqpHeader = "AMQP\x00\x00\x09\x01"

// amqpProbe returns nil when a broker at the address begins to talk AMQP: RabbitMQ opens this
// listener when all else is ready.
func amqpProbe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, amqpHeader); err != nil {
		return err
	}
	// A method on channel 0, its size, then its class and its number: connection.start is 10, 10.
	var start [11]byte
	if _, err := io.ReadFull(conn, start[:]); err != nil {
		return fmt.Errorf("%s: no answer: %w", addr, errors.Join(err, ctx.Err()))
	}
	if string(start[:3]) != "\x01\x00\x00" || binary.BigEndian.Uint32(start[7:]) != 10<<16|10 {
		return fmt.Errorf("%s answers %x: this is not RabbitMQ", addr, start)
	}
	return nil
}
