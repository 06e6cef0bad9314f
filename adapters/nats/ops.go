package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/nats-io/nats.go"
)

type entry = lease.Entry[uint64, receipt]

// send tells the server about messages: acks, give-backs, extensions. The last of a batch asks for
// an answer. A server handles what comes by one connection in order, so the answer stands for all
// of the batch.
func (s *Stream) send(ctx context.Context, op lease.Op, batch []entry) []error {
	answer := make(chan error, 1)
	s.asking.Lock()
	s.asked++
	number := s.asked
	s.waiting[number] = answer
	s.asking.Unlock()
	defer func() {
		s.asking.Lock()
		defer s.asking.Unlock()
		delete(s.waiting, number)
	}()
	inbox := s.answers + strconv.FormatUint(number, 36)
	writing := ctx
	if op == lease.Extend { // it may begin shortly before the leases end, and must not come after that
		var cancel context.CancelFunc
		writing, cancel = context.WithTimeout(ctx, s.ackWait/10*9/10)
		defer cancel()
	}
	err := s.b.link.do(writing, func(ctx context.Context) error {
		return s.write(ctx, op, batch, inbox)
	})
	if err == nil {
		select {
		case err = <-answer:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return lease.All(len(batch), err)
	}
	return nil
}

// write writes a batch into one connection.
func (s *Stream) write(ctx context.Context, op lease.Op, batch []entry, inbox string) error {
	if err := s.certain(ctx, batch); err != nil {
		return err
	}
	nc := s.b.link.nc
	before := nc.Stats().Reconnects
	text, last := payload(op, batch[0].Delay), len(batch)-1
	for i, e := range batch {
		if ctx.Err() != nil { // the leases are over
			return context.Cause(ctx)
		}
		if op == lease.GiveBack { // each has its delay
			text = payload(op, e.Delay)
		}
		var err error
		switch {
		case i < last:
			err = nc.Publish(e.Value.subject, text)
		case nc.Stats().Reconnects != before:
			return errSplit
		default:
			err = nc.PublishRequest(e.Value.subject, inbox, text)
		}
		if err != nil {
			return err
		}
	}
	if nc.Stats().Reconnects != before {
		return errSplit
	}
	return nil
}

var errSplit = errors.New("the connection was lost meanwhile")

// payload returns what the server is told.
func payload(op lease.Op, delay time.Duration) []byte {
	switch {
	case op == lease.Ack:
		return []byte("+ACK")
	case op == lease.Extend:
		return []byte("+WPI")
	case delay > 0:
		return fmt.Appendf(nil, `-NAK {"delay": %d}`, int64(delay))
	}
	return []byte("-NAK")
}

var errNoAcks = &leat.Error{
	Code: leat.CodeNotFound, Err: errors.New("the consumer takes no acks: it is gone, or has no leader"),
}

// answered is an answer to a batch.
func (s *Stream) answered(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, s.answers), 36, 64)
	if err != nil {
		return
	}
	if m.Header.Get("Status") == "503" {
		err = errNoAcks
		s.doubtIt()
	}
	s.asking.Lock()
	answer := s.waiting[number]
	delete(s.waiting, number)
	s.asking.Unlock()
	if answer != nil {
		answer <- err
	}
}

// disconnected ends the wait for answers, which would have come by the lost connection. What the
// next connection reaches may be another consumer.
func (s *Stream) disconnected(err error) {
	s.doubtIt()
	s.asking.Lock()
	defer s.asking.Unlock()
	for number, answer := range s.waiting {
		delete(s.waiting, number)
		answer <- fmt.Errorf("the connection was lost: %w", err)
	}
}

// report notes whether acks are answered.
func (s *Stream) report(_ lease.Op, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, lease.ErrTaken) {
		s.unheard.Set(err)
	}
}
