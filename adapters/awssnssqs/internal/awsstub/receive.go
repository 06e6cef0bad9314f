package awsstub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

type receiveInput struct {
	QueueUrl                    string
	MaxNumberOfMessages         *int
	WaitTimeSeconds             *int
	VisibilityTimeout           *int
	ReceiveRequestAttemptId     string
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

// received is a message in an answer.
type received struct {
	MessageId, ReceiptHandle, Body, MD5OfBody string
	Attributes                                map[string]string
	MessageAttributes                         map[string]attribute `json:",omitempty"`
}

// receiveMessage waits for messages. It goes on when the client has gone, as AWS does: what comes
// until its wait is over is invisible afterwards.
func receiveMessage(life context.Context, s *Server, body []byte) (any, error) {
	var in receiveInput
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, invalid("MalformedInput", err.Error())
	}
	most := value(in.MaxNumberOfMessages, 1)
	wait := value(in.WaitTimeSeconds, 0)
	if most < 1 || most > mostOfAll || wait < 0 || wait > 20 {
		return nil, invalid("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10, WaitTimeSeconds between 0 and 20.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.now().Add(time.Duration(wait) * time.Second)
	for {
		q, err := s.queue(in.QueueUrl)
		if err != nil {
			return nil, err
		}
		if life.Err() != nil {
			return none{}, nil // nobody gets this answer
		}
		visibility := time.Duration(value(in.VisibilityTimeout, q.number("VisibilityTimeout", 30))) * time.Second
		taken, again := q.receive(&in, most, visibility)
		if again.After(until) {
			again = until
		}
		left := again.Sub(s.now())
		if len(taken) > 0 || !s.now().Before(until) {
			return map[string]any{"Messages": q.show(&in, taken)}, nil
		}
		changed := q.changed
		s.mu.Unlock()
		timer := time.NewTimer(max(left, time.Millisecond))
		select {
		case <-changed:
		case <-timer.C:
		case <-life.Done():
		}
		timer.Stop()
		s.pass(life)
		s.mu.Lock()
	}
}

func value(given *int, otherwise int) int {
	if given == nil {
		return otherwise
	}
	return *given
}

// receive takes what there is now, or what the same attempt has taken before.
func (q *queue) receive(in *receiveInput, most int, visibility time.Duration) (taken []*message, again time.Time) {
	id := in.ReceiveRequestAttemptId
	if !q.fifo {
		id = ""
	}
	if id != "" {
		if taken = q.repeat(id, visibility); taken != nil {
			return taken, again
		}
	}
	taken, again = q.take(most, visibility)
	if id != "" && len(taken) > 0 {
		q.remember(id, taken)
	}
	return taken, again
}

// show returns messages as the answer has them.
func (q *queue) show(in *receiveInput, taken []*message) []received {
	all := make([]received, 0, len(taken))
	for _, m := range taken {
		system := map[string]string{
			"ApproximateReceiveCount": strconv.Itoa(m.receives), "SentTimestamp": strconv.FormatInt(m.sent.UnixMilli(), 10),
			"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.first.UnixMilli(), 10), "SenderId": KeyID,
		}
		if m.group != "" {
			system["MessageGroupId"] = m.group
		}
		if q.fifo {
			system["MessageDeduplicationId"], system["SequenceNumber"] = m.dup, fmt.Sprintf("%020d", m.sequence)
		}
		one := received{MessageId: m.id, ReceiptHandle: m.handle, Body: m.body, MD5OfBody: checksum(m.body), Attributes: map[string]string{}}
		for name, value := range system {
			if matches(append(in.AttributeNames, in.MessageSystemAttributeNames...), name) {
				one.Attributes[name] = value
			}
		}
		for name, value := range m.attributes {
			if matches(in.MessageAttributeNames, name) {
				if one.MessageAttributes == nil {
					one.MessageAttributes = map[string]attribute{}
				}
				one.MessageAttributes[name] = value
			}
		}
		all = append(all, one)
	}
	return all
}

// matches reports whether a request asks for an attribute: by name, by prefix.*, or for all.
func matches(asked []string, name string) bool {
	return slices.ContainsFunc(asked, func(a string) bool {
		prefix, some := strings.CutSuffix(a, ".*")
		return a == "All" || a == name || some && strings.HasPrefix(name, prefix)
	})
}
