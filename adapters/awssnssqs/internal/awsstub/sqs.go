package awsstub

import (
	"crypto/md5" //nolint:gosec // SQS's checksum
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var sqsActions = map[string]operation{
	"CreateQueue":                  sqsAction((*Server).createQueue),
	"GetQueueUrl":                  sqsAction((*Server).getQueueURL),
	"ListQueues":                   sqsAction((*Server).listQueues),
	"DeleteQueue":                  sqsAction((*Server).deleteQueue),
	"PurgeQueue":                   sqsAction((*Server).purgeQueue),
	"GetQueueAttributes":           sqsAction((*Server).getQueueAttributes),
	"SetQueueAttributes":           sqsAction((*Server).setQueueAttributes),
	"ListQueueTags":                sqsAction((*Server).listQueueTags),
	"TagQueue":                     sqsAction((*Server).tagQueue),
	"SendMessage":                  sqsAction((*Server).sendMessage),
	"SendMessageBatch":             sqsAction((*Server).sendMessageBatch),
	"ReceiveMessage":               receiveMessage,
	"DeleteMessage":                sqsAction((*Server).deleteMessage),
	"DeleteMessageBatch":           sqsAction((*Server).deleteMessageBatch),
	"ChangeMessageVisibility":      sqsAction((*Server).changeVisibility),
	"ChangeMessageVisibilityBatch": sqsAction((*Server).changeVisibilityBatch),
}

type queueInput struct {
	QueueName, QueueUrl, QueueNamePrefix string
	Attributes, Tags                     map[string]string
	AttributeNames                       []string
}

type none struct{}

var (
	queueName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	identifier = regexp.MustCompile(`^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~]{1,128}$`)
	batchID    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
)

// settable are the attributes of queues that may be set.
const settable = " DelaySeconds MaximumMessageSize MessageRetentionPeriod Policy ReceiveMessageWaitTimeSeconds RedrivePolicy " +
	"VisibilityTimeout KmsMasterKeyId KmsDataKeyReusePeriodSeconds SqsManagedSseEnabled FifoQueue ContentBasedDeduplication " +
	"DeduplicationScope FifoThroughputLimit RedriveAllowPolicy "

func (s *Server) queue(url string) (*queue, error) {
	if q := s.queues[url[strings.LastIndex(url, "/")+1:]]; q != nil {
		return q, nil
	}
	return nil, invalid("QueueDoesNotExist", "The specified queue does not exist.")
}

func (s *Server) createQueue(in *queueInput) (any, error) {
	base, fifo := strings.CutSuffix(in.QueueName, ".fifo")
	switch {
	case !queueName.MatchString(base) || len(in.QueueName) > 80:
		return nil, invalid("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	case fifo != (in.Attributes["FifoQueue"] == "true"):
		return nil, invalid("InvalidParameterValue", "The name of a FIFO queue can only include alphanumeric characters, hyphens, "+
			"or underscores, must end with .fifo suffix")
	}
	if q := s.queues[in.QueueName]; q != nil {
		for name, value := range in.Attributes {
			if q.attributes[name] != value {
				return nil, invalid("QueueNameExists", "A queue already exists with the same name and a different value for attribute "+name)
			}
		}
		return map[string]string{"QueueUrl": q.url()}, nil
	}
	if at, ok := s.deleted[in.QueueName]; ok && s.now().Sub(at) < time.Minute {
		return nil, invalid("QueueDeletedRecently", "You must wait 60 seconds after deleting a queue.")
	}
	q := newQueue(s, in.QueueName)
	if err := q.set(in.Attributes); err != nil {
		return nil, err
	}
	maps.Copy(q.tags, in.Tags)
	s.queues[in.QueueName] = q
	return map[string]string{"QueueUrl": q.url()}, nil
}

// set checks and stores attributes.
func (q *queue) set(attributes map[string]string) error {
	for name, value := range attributes {
		if !strings.Contains(settable, " "+name+" ") {
			return invalid("InvalidAttributeName", "Unknown Attribute "+name+".")
		}
		if strings.HasSuffix(name, "Policy") && value != "" && !json.Valid([]byte(value)) {
			return invalid("InvalidAttributeValue", "Invalid value for the parameter "+name+".")
		}
		if value == "" {
			delete(q.attributes, name)
		} else {
			q.attributes[name] = value
		}
	}
	return nil
}

func (s *Server) getQueueURL(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueName)
	if err != nil {
		return nil, err
	}
	return map[string]string{"QueueUrl": q.url()}, nil
}

func (s *Server) listQueues(in *queueInput) (any, error) {
	urls := []string{}
	for name, q := range s.queues {
		if strings.HasPrefix(name, in.QueueNamePrefix) {
			urls = append(urls, q.url())
		}
	}
	slices.Sort(urls)
	return map[string]any{"QueueUrls": urls}, nil
}

func (s *Server) deleteQueue(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	delete(s.queues, q.name)
	s.deleted[q.name] = s.now()
	q.wake()
	return none{}, nil
}

func (s *Server) purgeQueue(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q.messages.Init()
	clear(q.groups)
	clear(q.flight)
	clear(q.handles)
	return none{}, nil
}

func (s *Server) getQueueAttributes(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"QueueArn": q.arn(), "VisibilityTimeout": "30", "MessageRetentionPeriod": "345600", "MaximumMessageSize": strconv.Itoa(mostBytes),
		"DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true",
		"CreatedTimestamp": strconv.FormatInt(q.created.Unix(), 10),
	}
	if q.fifo {
		maps.Copy(all, map[string]string{
			"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue",
		})
	}
	maps.Copy(all, q.attributes)
	now := s.now()
	q.blocked(now)
	delayed := 0
	for e := q.messages.Front(); e != nil; e = e.Next() {
		if m, ok := e.Value.(*message); ok && m.receives == 0 && m.visible.After(now) {
			delayed++
		}
	}
	all["ApproximateNumberOfMessagesNotVisible"] = strconv.Itoa(len(q.flight))
	all["ApproximateNumberOfMessagesDelayed"] = strconv.Itoa(delayed)
	all["ApproximateNumberOfMessages"] = strconv.Itoa(q.messages.Len() - len(q.flight) - delayed)
	if !slices.Contains(in.AttributeNames, "All") {
		maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
	}
	return map[string]any{"Attributes": all}, nil
}

func (s *Server) setQueueAttributes(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return none{}, q.set(in.Attributes)
}

func (s *Server) listQueueTags(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return map[string]any{"Tags": maps.Clone(q.tags)}, nil
}

func (s *Server) tagQueue(in *queueInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	maps.Copy(q.tags, in.Tags)
	return none{}, nil
}

// entry is a message to send, or one entry of another batch.
type entry struct {
	Id                                     string
	MessageBody                            string
	MessageGroupId, MessageDeduplicationId string
	MessageAttributes                      map[string]attribute
	DelaySeconds                           *int
	ReceiptHandle                          string
	VisibilityTimeout                      int
}

type oneInput struct {
	entry

	QueueUrl string
}

type batchInput struct {
	QueueUrl string
	Entries  []entry
}

// size is what SQS counts of a message.
func size(body string, attributes map[string]attribute) int {
	n := len(body)
	for name, a := range attributes {
		n += len(name) + len(a.DataType) + len(a.BinaryValue)
		if a.StringValue != nil {
			n += len(*a.StringValue)
		}
	}
	return n
}

// check says what SQS finds wrong with a message.
func (q *queue) check(e *entry) *problem {
	most := q.number("MaximumMessageSize", mostBytes)
	switch {
	case e.MessageBody == "":
		return invalid("MissingParameter", "The request must contain the parameter MessageBody.")
	case strings.IndexFunc(e.MessageBody, illegal) >= 0:
		return invalid("InvalidMessageContents", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | ...")
	case size(e.MessageBody, e.MessageAttributes) > most:
		return invalid("InvalidParameterValue", fmt.Sprintf("Message must be shorter than %d bytes.", most))
	case len(e.MessageAttributes) > mostOfAll:
		return invalid("InvalidParameterValue", "Number of message attributes [11] exceeds the allowed maximum [10].")
	case q.fifo && e.MessageGroupId == "":
		return invalid("MissingParameter", "The request must contain the parameter MessageGroupId.")
	case q.fifo && e.MessageDeduplicationId == "":
		return invalid("InvalidParameterValue", "The queue needs a MessageDeduplicationId")
	case q.fifo && e.DelaySeconds != nil && *e.DelaySeconds > 0:
		return invalid("InvalidParameterValue", "DelaySeconds is not valid for this queue type.")
	case e.DelaySeconds != nil && (*e.DelaySeconds < 0 || *e.DelaySeconds > 900):
		return invalid("InvalidParameterValue", "Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.")
	}
	for _, id := range []string{e.MessageGroupId, e.MessageDeduplicationId} {
		if id != "" && !identifier.MatchString(id) {
			return invalid("InvalidParameterValue", "The id can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	for name, a := range e.MessageAttributes {
		if name == "" || a.DataType == "" || a.StringValue == nil && a.BinaryValue == nil || a.StringValue != nil && *a.StringValue == "" {
			return invalid("InvalidParameterValue", "Message (user) attribute '"+name+"' must contain a non-empty value of its type.")
		}
	}
	return nil
}

// illegal reports whether a message may not have a character.
func illegal(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

// store sends a message and returns what SQS answers.
func (q *queue) store(e *entry) (map[string]string, *problem) {
	if p := q.check(e); p != nil {
		return nil, p
	}
	m := &message{body: e.MessageBody, group: e.MessageGroupId, dup: e.MessageDeduplicationId, attributes: e.MessageAttributes}
	delay := q.number("DelaySeconds", 0)
	if e.DelaySeconds != nil {
		delay = *e.DelaySeconds
	}
	m.visible = q.s.now().Add(time.Duration(delay) * time.Second)
	d := q.add(m)
	answer := map[string]string{"MessageId": d.id, "MD5OfMessageBody": checksum(e.MessageBody)}
	if q.fifo {
		answer["SequenceNumber"] = fmt.Sprintf("%020d", d.sequence)
	}
	return answer, nil
}

func checksum(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // SQS's checksum
	return hex.EncodeToString(sum[:])
}

func (s *Server) sendMessage(in *oneInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	answer, p := q.store(&in.entry)
	if p != nil {
		return nil, p
	}
	return answer, nil
}

func (s *Server) sendMessageBatch(in *batchInput) (any, error) {
	total := 0
	for _, e := range in.Entries {
		total += size(e.MessageBody, e.MessageAttributes)
	}
	if total > mostBytes {
		return nil, invalid("BatchRequestTooLong", fmt.Sprintf("You have sent %d bytes.", total))
	}
	return s.batch("SendMessageBatch", in, func(q *queue, e *entry) (map[string]string, *problem) { return q.store(e) })
}

// batch does something for each entry. Each has its own result.
func (s *Server) batch(action string, in *batchInput, do func(*queue, *entry) (map[string]string, *problem)) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(in.Entries))
	for i, e := range in.Entries {
		ids[i] = e.Id
	}
	if p := checkBatch(ids); p != nil {
		return nil, p
	}
	good, bad := []map[string]string{}, []map[string]any{}
	for i := range in.Entries {
		e := &in.Entries[i]
		p := s.entryFault(action)
		var answer map[string]string
		if p == nil {
			answer, p = do(q, e)
		}
		if p != nil {
			bad = append(bad, map[string]any{"Id": e.Id, "Code": p.code, "Message": p.message, "SenderFault": p.sender()})
			continue
		}
		if answer == nil {
			answer = map[string]string{}
		}
		answer["Id"] = e.Id
		good = append(good, answer)
	}
	return map[string]any{"Successful": good, "Failed": bad}, nil
}

// checkBatch checks the ids of the entries of a batch, of SQS or SNS.
func checkBatch(ids []string) *problem {
	switch {
	case len(ids) == 0:
		return invalid("EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(ids) > mostOfAll:
		return invalid("TooManyEntriesInBatchRequest", fmt.Sprintf("You have sent %d entries.", len(ids)))
	}
	for i, id := range ids {
		if !batchID.MatchString(id) {
			return invalid("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores.")
		}
		if slices.Contains(ids[:i], id) {
			return invalid("BatchEntryIdsNotDistinct", "Id "+id+" repeated.")
		}
	}
	return nil
}

func (s *Server) deleteMessage(in *oneInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if p := q.delete(in.ReceiptHandle); p != nil {
		return nil, p
	}
	return none{}, nil
}

func (s *Server) deleteMessageBatch(in *batchInput) (any, error) {
	return s.batch("DeleteMessageBatch", in, func(q *queue, e *entry) (map[string]string, *problem) {
		return nil, q.delete(e.ReceiptHandle)
	})
}

func (s *Server) changeVisibility(in *oneInput) (any, error) {
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if p := q.lend(in.ReceiptHandle, in.VisibilityTimeout); p != nil {
		return nil, p
	}
	return none{}, nil
}

func (s *Server) changeVisibilityBatch(in *batchInput) (any, error) {
	return s.batch("ChangeMessageVisibilityBatch", in, func(q *queue, e *entry) (map[string]string, *problem) {
		return nil, q.lend(e.ReceiptHandle, e.VisibilityTimeout)
	})
}
