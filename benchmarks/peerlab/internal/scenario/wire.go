package scenario

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// wire stands between a library and the broker and counts what the broker delivers, whatever the
// library shows of it.
type wire struct {
	listener net.Listener
	target   string
	all      sync.WaitGroup

	delivered, redelivered atomic.Int64
}

func newWire(ctx context.Context, target string) (*wire, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: l, target: target}
	w.all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(client) // it ends with the connection, or the process
		}
	})
	return w, nil
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) deliveries() int64 { return w.delivered.Load() }

func (w *wire) redeliveries() int64 { return w.redelivered.Load() }

func (w *wire) close() {
	_ = w.listener.Close()
	w.all.Wait()
}

func (w *wire) serve(client net.Conn) {
	defer client.Close()                     //nolint:errcheck // it is done with
	server, err := net.Dial("tcp", w.target) //nolint:noctx // it ends with the client
	if err != nil {
		return
	}
	defer server.Close() //nolint:errcheck // it is done with
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_ = w.relay(client, bufio.NewReaderSize(server, 64<<10))
}

// Of AMQP 0-9-1: a frame is type, channel, size, payload and an end mark; a method's payload begins
// with class and method.
const (
	frameHeader   = 7
	frameMethod   = 1
	classBasic    = 60
	methodDeliver = 60 // basic.deliver: consumer tag, delivery tag, redelivered
)

// relay passes frames on and looks into those that deliver.
func (w *wire) relay(to io.Writer, from *bufio.Reader) error {
	out := bufio.NewWriterSize(to, 64<<10)
	frame := make([]byte, frameHeader, 128<<10)
	for {
		frame = frame[:frameHeader]
		if _, err := io.ReadFull(from, frame); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(frame[3:])) + 1
		frame = append(frame, make([]byte, size)...)
		if _, err := io.ReadFull(from, frame[frameHeader:]); err != nil {
			return err
		}
		if frame[0] == frameMethod {
			w.look(frame[frameHeader:])
		}
		if _, err := out.Write(frame); err != nil {
			return err
		}
		if from.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func (w *wire) look(payload []byte) {
	if len(payload) < 5 || binary.BigEndian.Uint16(payload) != classBasic || binary.BigEndian.Uint16(payload[2:]) != methodDeliver {
		return
	}
	w.delivered.Add(1)
	if mark := 5 + int(payload[4]) + 8; mark < len(payload) && payload[mark]&1 == 1 {
		w.redelivered.Add(1)
	}
}
