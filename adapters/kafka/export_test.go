package kafka

import (
	"context"
	"net"
)

// NewDialing is New with another way to connect to brokers, for options without TLS.
func NewDialing(o *Options, dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Broker, error) {
	b, err := New(o)
	if err == nil {
		b.dialer.plain = dial
	}
	return b, err
}
