package brokertest_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These lines speak just enough of AMQP 0-9-1 to log in and to hear what the broker says on channel
// 0.

// amqpMethod is a method of AMQP: its class and its number, then its arguments.
type amqpMethod struct {
	class, number uint16
	body          []byte
}

// code returns the reply code that connection.close begins with, 0 for another method.
func (m amqpMethod) code() int {
	if m.class != 10 || m.number != 50 {
		return 0
	}
	return int(binary.BigEndian.Uint16(m.body))
}

const (
	connectionOpenOK  = 41
	connectionClose   = 50
	connectionBlocked = 60
	connectionFree    = 61
)

// amqpConn is a connection that has logged in, or was refused.
type amqpConn struct {
	net.Conn

	read *bufio.Reader
}

// amqpLogin begins a connection over conn. The method is connection.open-ok, or connection.close
// with the reason, and the error that of a connection that the broker has ended without a word.
func amqpLogin(t *testing.T, conn net.Conn, mechanism, response, vhost, name string) (*amqpConn, amqpMethod, error) {
	t.Helper()
	c := &amqpConn{Conn: conn, read: bufio.NewReader(conn)}
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { _ = conn.Close() }) // the broker may have closed it
	if _, err := io.WriteString(conn, "AMQP\x00\x00\x09\x01"); err != nil {
		return c, amqpMethod{}, err
	}
	if _, err := c.next(); err != nil { // start
		return c, amqpMethod{}, err
	}
	capabilities := amqpField("connection.blocked", 't', "\x01") + amqpField("authentication_failure_close", 't', "\x01")
	properties := amqpField("capabilities", 'F', amqpLong(capabilities)) + amqpField("connection_name", 'S', amqpLong(name))
	c.send(t, 10, 11, amqpLong(properties)+amqpShort(mechanism)+amqpLong(response)+amqpShort("en_US"))
	m, err := c.next() // tune, or close
	if err != nil || m.class != 10 || m.number != 30 {
		return c, m, err
	}
	c.send(t, 10, 31, string(m.body[:6])+"\x00\x00") // no heartbeat
	c.send(t, 10, 40, amqpShort(vhost)+"\x00\x00")
	m, err = c.next()
	return c, m, err
}

// next waits for the next method. What is no method is left aside.
func (c *amqpConn) next() (amqpMethod, error) {
	for {
		var head [7]byte
		if _, err := io.ReadFull(c.read, head[:]); err != nil {
			return amqpMethod{}, err
		}
		frame := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(c.read, frame); err != nil {
			return amqpMethod{}, err
		}
		if head[0] == 1 {
			return amqpMethod{binary.BigEndian.Uint16(frame), binary.BigEndian.Uint16(frame[2:]), frame[4 : len(frame)-1]}, nil
		}
	}
}

// send sends a method on channel 0.
func (c *amqpConn) send(t *testing.T, class, number uint16, body string) {
	t.Helper()
	c.frame(t, 1, 0, amqpNumbers(class, number)+body)
}

func (c *amqpConn) frame(t *testing.T, kind byte, channel uint16, body string) {
	t.Helper()
	_, err := io.WriteString(c, string([]byte{kind})+amqpNumbers(channel)+amqpLong(body)+"\xce")
	require.NoError(t, err)
}

// publish opens a channel and publishes an empty message that nobody gets.
func (c *amqpConn) publish(t *testing.T) {
	t.Helper()
	c.frame(t, 1, 1, amqpNumbers(20, 10)+amqpShort("")) // channel.open
	m, err := c.next()
	require.NoError(t, err)
	require.Equal(t, []uint16{20, 11}, []uint16{m.class, m.number})
	c.publishAgain(t)
}

func (c *amqpConn) publishAgain(t *testing.T) {
	t.Helper()
	c.frame(t, 1, 1, amqpNumbers(60, 40, 0)+amqpShort("")+amqpShort("nobody")+"\x00")
	c.frame(t, 2, 1, amqpNumbers(60, 0, 0, 0, 0, 0, 0)) // no size, no properties
}

func amqpNumbers(numbers ...uint16) string {
	var text []byte
	for _, n := range numbers {
		text = binary.BigEndian.AppendUint16(text, n)
	}
	return string(text)
}

func amqpShort(s string) string { return string(rune(len(s))) + s }

func amqpLong(s string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }

func amqpField(name string, kind byte, value string) string {
	return amqpShort(name) + string(rune(kind)) + value
}
