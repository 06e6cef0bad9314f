package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// answers is a connection that reads along with the answers to produce requests. The client tries
// again after an answer that leaves open whether a batch was stored, and does not say so; when the
// last answer is a refusal, the event may be stored nevertheless (TestRefusedAfterDoubt).
//
// The client has a connection to each broker for produce requests alone. Only what comes before the
// first of them, and a login that is renewed, is something else.
type answers struct {
	*link

	conns   *connections
	version atomic.Int32 // of produce requests, plus 1; 0 before the first
	seen    []byte       // of the answers that have not come as a whole; Read's own
}

// answerHead is the size of what stands before an answer: its length and the correlation id.
const answerHead = 8

// watch returns a dial function whose connections tell conns of answers that leave the outcome
// open.
func (d *dialer) watch(conns *connections) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		l, err := d.link(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &answers{link: l, conns: conns}, nil
	}
}

// Write notes produce requests; the client writes each request at once.
func (a *answers) Write(b []byte) (int, error) {
	if len(b) > 12 && binary.BigEndian.Uint16(b[4:]) == produceKey && int(binary.BigEndian.Uint32(b)) == len(b)-4 {
		a.version.Store(int32(binary.BigEndian.Uint16(b[6:])) + 1)
	}
	return a.link.Write(b)
}

// Read looks at what was read before the client does.
func (a *answers) Read(b []byte) (int, error) {
	n, err := a.link.Read(b)
	version := a.version.Load() - 1
	if version < 0 {
		return n, err
	}
	a.seen = append(a.seen, b[:n]...)
	rest := a.seen
	for len(rest) >= answerHead {
		end := 4 + int(binary.BigEndian.Uint32(rest))
		if len(rest) < end {
			break
		}
		if end > answerHead && leavesOpen(int16(version), rest[answerHead:end]) {
			a.conns.doubts.Add(1)
		}
		rest = rest[end:]
	}
	a.seen = append(a.seen[:0], rest...)
	return n, err
}

// openCodes are the codes after which a batch may be stored, as they stand in an answer.
//
// Two of them say that the leader has changed or its disk has failed, which may be after its
// followers got the batch.
var openCodes = []int16{
	kerr.RequestTimedOut.Code, kerr.NotEnoughReplicasAfterAppend.Code, kerr.NotLeaderForPartition.Code, kerr.KafkaStorageError.Code,
}

// leavesOpen reports whether an answer to a produce request has one of the open codes, or cannot be
// read.
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
