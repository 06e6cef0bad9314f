package brokertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// These lines speak just enough of Kafka's protocol (https://kafka.apache.org/protocol) to ask a
// broker which brokers it knows, so that a test does not begin before its cluster is whole.
const (
	kafkaMetadata        = 3
	kafkaMetadataVersion = 1
)

// kafkaBrokers asks the broker at an address for the brokers that can be used, and returns their
// number.
func kafkaBrokers(ctx context.Context, addr string) (int, error) {
	body := binary.BigEndian.AppendUint32(nil, 0) // of no topic
	response, err := kafkaCall(ctx, addr, kafkaMetadata, kafkaMetadataVersion, body)
	if err != nil {
		return 0, err
	}
	if len(response) < 4 {
		return 0, fmt.Errorf("%s: short metadata response: %x", addr, response)
	}
	return int(int32(binary.BigEndian.Uint32(response))), nil
}

// kafkaCall sends one request over a connection of its own and returns the body of the response.
func kafkaCall(ctx context.Context, addr string, key, version uint16, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	response, err := kafkaExchange(conn, key, version, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", addr, errors.Join(err, ctx.Err()))
	}
	return response, nil
}

// kafkaExchange sends one request and returns the body of the response.
func kafkaExchange(conn io.ReadWriter, key, version uint16, body []byte) ([]byte, error) {
	const client, correlation = "leat-brokertest", 1
	request := binary.BigEndian.AppendUint32(nil, uint32(2+2+4+2+len(client)+len(body)))
	request = binary.BigEndian.AppendUint16(request, key)
	request = binary.BigEndian.AppendUint16(request, version)
	request = binary.BigEndian.AppendUint32(request, correlation)
	request = binary.BigEndian.AppendUint16(request, uint16(len(client)))
	request = append(append(request, client...), body...)
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("no answer: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > maxResponse {
		return nil, fmt.Errorf("it answers with %d bytes: this is not a Kafka broker", n)
	}
	response := make([]byte, n)
	if _, err := io.ReadFull(conn, response); err != nil {
		return nil, fmt.Errorf("half an answer: %w", err)
	}
	if got := binary.BigEndian.Uint32(response); got != correlation {
		return nil, fmt.Errorf("it answers request %d instead of %d: this is not a Kafka broker", got, correlation)
	}
	return response[4:], nil
}
