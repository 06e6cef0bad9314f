package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers is a connection that reads along with the answers to produce requests. The client tries again after an answer that leaves
// open whether a batch was stored, and does not say so; when the last answer is a refusal, the event may be stored nevertheless.
type answers struct {
	*link

	conns *connections

	mu       sync.Mutex
	versions map[int32]int16 // of the produce requests without an answer, by correlation id

	// What Read has seen of the current answer.
	head    []byte // size and correlation id, as far as they came
	left    int    // bytes that are still to come
	version int16
	body    []byte
	keep    bool // the body is that of an answer to a produce request
}

const (
	answerHead = 8       // size and correlation id
	mostBody   = 1 << 20 // no answer to a produce request is larger
)

// watch returns a dial function whose connections tell conns of answers that leave the outcome open.
func (d *dialer) watch(conns *connections) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		l, err := d.link(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &answers{link: l, conns: conns, versions: map[int32]int16{}}, nil
	}
}

// Write notes produce requests; the client writes each request at once.
func (a *answers) Write(b []byte) (int, error) {
	if len(b) > 12 && binary.BigEndian.Uint16(b[4:]) == produceKey && int(binary.BigEndian.Uint32(b)) == len(b)-4 {
		a.mu.Lock()
		a.versions[int32(binary.BigEndian.Uint32(b[8:]))] = int16(binary.BigEndian.Uint16(b[6:]))
		a.mu.Unlock()
	}
	return a.link.Write(b)
}

// Read looks at what was read before the client does.
func (a *answers) Read(b []byte) (int, error) {
	n, err := a.link.Read(b)
	for rest := b[:n]; len(rest) > 0; {
		rest = a.feed(rest)
	}
	return n, err
}

// feed takes one piece of an answer and returns what is behind it.
func (a *answers) feed(b []byte) []byte {
	if len(a.head) < answerHead {
		n := min(answerHead-len(a.head), len(b))
		a.head = append(a.head, b[:n]...)
		if len(a.head) == answerHead {
			a.begin()
		}
		return b[n:]
	}
	n := min(a.left, len(b))
	if a.keep {
		a.body = append(a.body, b[:n]...)
	}
	if a.left -= n; a.left == 0 {
		a.end()
	}
	return b[n:]
}

func (a *answers) begin() {
	a.left = int(int32(binary.BigEndian.Uint32(a.head))) - 4
	id := int32(binary.BigEndian.Uint32(a.head[4:]))
	a.mu.Lock()
	a.version, a.keep = a.versions[id], false
	if _, ok := a.versions[id]; ok {
		a.keep = a.left <= mostBody
		delete(a.versions, id)
	}
	a.mu.Unlock()
	if a.left <= 0 {
		a.end()
	}
}

func (a *answers) end() {
	if a.keep && leavesOpen(a.version, a.body) {
		a.conns.doubts.Add(1)
	}
	a.head, a.body, a.left = a.head[:0], a.body[:0], 0
}

// openCodes are the codes after which a batch may be stored, as they stand in an answer.
//
// Two of them say that the leader has changed or its disk has failed, which may be after its followers got the batch.
var openCodes = []int16{
	kerr.RequestTimedOut.Code, kerr.NotEnoughReplicasAfterAppend.Code, kerr.NotLeaderForPartition.Code, kerr.KafkaStorageError.Code,
}

// leavesOpen reports whether an answer to a produce request has one of the open codes, or cannot be read.
func leavesOpen(version int16, body []byte) bool {
	if !slices.ContainsFunc(openCodes, func(code int16) bool { return bytes.Contains(body, []byte{0, byte(code)}) }) {
		return false // without reading it in full
	}
	answer := kmsg.NewPtrProduceResponse()
	answer.Version = version
	if answer.IsFlexible() {
		if body[0] != 0 {
			return true // tags in the header, which no broker sends today
		}
		body = body[1:]
	}
	if answer.ReadFrom(body) != nil {
		return true
	}
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			if slices.Contains(openCodes, p.ErrorCode) {
				return true
			}
		}
	}
	return false
}
