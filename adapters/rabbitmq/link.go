package rabbitmq

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is the socket of a connection, below amqp091-go. It reads in larger pieces, and can gather
// what is written: the client hands over each message by itself, which would be a system call for
// each.
type link struct {
	net.Conn

	socket net.Conn      // below TLS, where there is any: closing it never waits
	in     *bufio.Reader // Read's own

	patience atomic.Int64 // nanoseconds: how long the broker may be silent, 0 as long as that is not known

	mu     sync.Mutex
	corked int
	out    *bufio.Writer
}

// piece is how much is read or gathered at most.
const piece = 64 << 10

func newLink(conn net.Conn) *link {
	l := &link{Conn: conn, socket: conn, in: bufio.NewReaderSize(conn, piece), out: bufio.NewWriterSize(conn, piece)}
	if secure, ok := conn.(*tls.Conn); ok {
		l.socket = secure.NetConn()
	}
	return l
}

// Read reads. After an error the socket is closed: the client would first wait for a write that
// hangs.
func (l *link) Read(b []byte) (int, error) {
	if patience := l.patience.Load(); patience > 0 && l.in.Buffered() == 0 {
		_ = l.Conn.SetReadDeadline(time.Now().Add(time.Duration(patience)))
	}
	n, err := l.in.Read(b)
	if err != nil {
		l.kill()
	}
	return n, err
}

// SetReadDeadline is how the client says, by what it last read, how long the broker may be silent.
// It is also the time of each later Read: the client cannot say so while a write hangs, as in an
// alarm of the broker, and would end a connection whose broker sends heartbeats.
func (l *link) SetReadDeadline(at time.Time) error {
	l.patience.Store(int64(max(time.Until(at), 0)))
	return l.Conn.SetReadDeadline(at)
}

// Write writes b, or keeps it until the link is uncorked or a piece has gathered.
func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.out.Write(b)
	if l.corked == 0 {
		err = l.flush()
	}
	return n, err
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

// flush writes what was gathered. After an error, which stays, the socket is closed, so that the
// client notices. The lock is held.
func (l *link) flush() error {
	err := l.out.Flush()
	if err != nil {
		l.kill()
	}
	return err
}

// kill ends the connection at once.
func (l *link) kill() { _ = l.socket.Close() }
