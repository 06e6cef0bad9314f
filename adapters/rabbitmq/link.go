package rabbitmq

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is the socket of a connection, below amqp091-go. It reads in larger pieces, and can gather what is written: the client hands over
// each message by itself, which would be a system call for each.
type link struct {
	net.Conn

	socket net.Conn // below TLS, where there is any: closing it never waits
	in     []byte   // read from the socket; Read's own
	unread []byte   // of it

	patience atomic.Int64 // nanoseconds: how long the broker may be silent, 0 as long as that is not known

	mu     sync.Mutex
	corked int
	out    []byte // gathered
}

const (
	readPiece  = 64 << 10
	writePiece = 64 << 10
)

func newLink(conn, socket net.Conn) *link {
	return &link{Conn: conn, socket: socket, in: make([]byte, readPiece)}
}

// Read reads. After an error the socket is closed: the client would first wait for a write that hangs.
func (l *link) Read(b []byte) (int, error) {
	if len(l.unread) == 0 {
		if patience := l.patience.Load(); patience > 0 {
			_ = l.Conn.SetReadDeadline(time.Now().Add(time.Duration(patience)))
		}
		n, err := l.Conn.Read(l.in)
		l.unread = l.in[:n]
		if err != nil {
			_ = l.socket.Close()
			if n == 0 {
				return 0, err
			}
		}
	}
	n := copy(b, l.unread)
	l.unread = l.unread[n:]
	return n, nil
}

// SetReadDeadline is how the client says, by what it last read, how long the broker may be silent. It is also the time of each later Read:
// the client cannot say so while a write hangs, as in an alarm of the broker, and would end a connection whose broker sends heartbeats.
func (l *link) SetReadDeadline(at time.Time) error {
	l.patience.Store(int64(max(time.Until(at), 0)))
	return l.Conn.SetReadDeadline(at)
}

// Write writes b, or keeps it until the link is uncorked or a piece has gathered.
func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.corked == 0 {
		return l.Conn.Write(b)
	}
	l.out = append(l.out, b...)
	if len(l.out) < writePiece {
		return len(b), nil
	}
	return len(b), l.flush()
}

// cork begins to gather what is written.
func (l *link) cork() {
	l.mu.Lock()
	l.corked++
	l.mu.Unlock()
}

// uncork writes what was gathered, also by others who have corked the link.
func (l *link) uncork() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.corked--
	_ = l.flush() // the connection ends by it
}

// flush writes what was gathered. After an error the socket is closed, so that the client notices. The lock is held.
func (l *link) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.Conn.Write(l.out)
	l.out = l.out[:0]
	if cap(l.out) > 4*writePiece {
		l.out = nil
	}
	if err != nil {
		_ = l.socket.Close()
	}
	return err
}

// kill ends the connection at once.
func (l *link) kill() { _ = l.socket.Close() }
