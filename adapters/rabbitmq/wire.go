package rabbitmq

import (
	"net"
	"sync"
)

// wire is the socket of a connection, below amqp091-go. It reads in larger pieces, and can gather what is written: the client hands over
// each message by itself, which would be a system call for each.
type wire struct {
	net.Conn

	socket net.Conn // below TLS, where there is any: closing it never waits
	in     []byte   // read from the socket; Read's own
	unread []byte   // of it

	mu     sync.Mutex
	corked int
	out    []byte // gathered
}

const (
	readPiece  = 64 << 10
	writePiece = 64 << 10
)

func newWire(conn, socket net.Conn) *wire {
	return &wire{Conn: conn, socket: socket, in: make([]byte, readPiece)}
}

// Read reads. After an error the socket is closed: the client would first wait for a write that hangs.
func (w *wire) Read(b []byte) (int, error) {
	if len(w.unread) == 0 {
		n, err := w.Conn.Read(w.in)
		w.unread = w.in[:n]
		if err != nil {
			_ = w.socket.Close()
			if n == 0 {
				return 0, err
			}
		}
	}
	n := copy(b, w.unread)
	w.unread = w.unread[n:]
	return n, nil
}

// Write writes b, or keeps it until the wire is uncorked or a piece has gathered.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.corked == 0 {
		return w.Conn.Write(b)
	}
	w.out = append(w.out, b...)
	if len(w.out) < writePiece {
		return len(b), nil
	}
	return len(b), w.flush()
}

// cork begins to gather what is written.
func (w *wire) cork() {
	w.mu.Lock()
	w.corked++
	w.mu.Unlock()
}

// uncork writes what was gathered, also by others who have corked the wire.
func (w *wire) uncork() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.corked--
	_ = w.flush() // the connection ends by it
}

// flush writes what was gathered. After an error the socket is closed, so that the client notices. The lock is held.
func (w *wire) flush() error {
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > 4*writePiece {
		w.out = nil
	}
	if err != nil {
		_ = w.socket.Close()
	}
	return err
}

// kill ends the connection at once.
func (w *wire) kill() { _ = w.socket.Close() }
