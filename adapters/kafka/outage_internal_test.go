package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/twmb/franz-go/pkg/kgo"
)

// watched are connections whose log is read, to two brokers.
type watched struct {
	*connections

	out bytes.Buffer
}

var brokerA, brokerB = kgo.BrokerMetadata{Host: "a", Port: 9092}, kgo.BrokerMetadata{Host: "b", Port: 9092}

func newWatched() *watched {
	w := &watched{}
	o := &Options{Hosts: []string{"a:9092", "b:9092"}, Logger: slog.New(slog.NewTextHandler(&w.out, nil))}
	w.connections = &connections{outage: newOutage(o)}
	return w
}

// lines returns what was written since the last call.
func (w *watched) lines() (lines []string) {
	for line := range strings.Lines(w.out.String()) {
		_, line, _ = strings.Cut(line, "level=")
		lines = append(lines, strings.TrimSpace(line))
	}
	w.out.Reset()
	return lines
}

func (w *watched) ends(meta kgo.BrokerMetadata) {
	w.OnBrokerE2E(meta, produceKey, kgo.BrokerE2E{ReadErr: io.EOF})
}

func (w *watched) answers(meta kgo.BrokerMetadata) { w.OnBrokerE2E(meta, produceKey, kgo.BrokerE2E{}) }

// One broker that ends each connection has a line, however busy the client is with another, and one
// when it answers.
func TestABrokerThatEndsEachConnectionHasALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		for range 100 {
			w.answers(brokerB)
			w.ends(brokerA)
			w.answers(brokerB)
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, []string{`WARN msg="Kafka does not answer" host=a:9092 code=unavailable error=EOF`}, w.lines())
		w.answers(brokerA)
		assert.Equal(t, []string{`INFO msg="Kafka answers again" host=a:9092 lasted=9s`}, w.lines())
		w.ends(brokerA)
		w.answers(brokerB)
		assert.Empty(t, w.lines(), "one end says nothing")
	})
}

// The end of a connection that was cut while nobody used it has no line: the broker answers on the
// next one, or does not end another soon.
func TestTheEndOfAnIdleConnectionHasNoLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		for range 100 {
			w.ends(brokerA)
			w.answers(brokerA)
			time.Sleep(2 * time.Second)
		}
		for range 10 {
			w.ends(brokerA)
			w.answers(brokerB)
			time.Sleep(outageMemory)
		}
		for i := range 1000 { // brokers come and go
			w.ends(kgo.BrokerMetadata{Host: "c", Port: int32(i)})
			time.Sleep(time.Second)
		}
		assert.Empty(t, w.lines())
		assert.LessOrEqual(t, len(w.outage.ending), 30)
		w.ends(brokerA)
		w.answers(brokerA)
		assert.NotContains(t, w.outage.ending, "a:9092")
	})
}

func TestANilOutageDoesNothing(t *testing.T) {
	t.Parallel()
	var o *outage
	o.failed("a", errors.New("no"))
	o.answered(brokerA)
	assert.False(t, o.keepsEnding("a"))
	assert.False(t, o.within(time.Hour))
}

// A dial that the client has canceled, as it does when a session is lost, says nothing about the
// broker, also through the dialer of a group.
func TestACanceledDialHasNoLine(t *testing.T) {
	w := newWatched()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:1")
	w.OnBrokerConnect(brokerA, 0, nil, fmt.Errorf("unable to dial: %w", patient(err)))
	assert.Empty(t, w.lines())
	assert.NoError(t, w.last())
}
