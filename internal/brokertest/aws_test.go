package brokertest_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

type fields = map[string]any

// awsCall sends a request without a signature and returns the body of the answer, or "" when the
// server does not answer.
func awsCall(t *testing.T, endpoint, kind string, header http.Header, body string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+"/", strings.NewReader(body))
	require.NoError(t, err)
	request.Header = header
	request.Header.Set("Content-Type", kind)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: brokertest.Patience}
	answer, err := client.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close() //nolint:errcheck // it is done with
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

// sqs calls an action of SQS, which speaks JSON.
func sqs(t *testing.T, endpoint, action string, arguments fields) fields {
	t.Helper()
	body, err := json.Marshal(arguments)
	require.NoError(t, err)
	text := awsCall(t, endpoint, "application/x-amz-json-1.0", http.Header{"X-Amz-Target": {"AmazonSQS." + action}}, string(body))
	var answer fields
	if text != "" {
		require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
	}
	return answer
}

// sns calls an action of SNS, which speaks forms and XML.
func sns(t *testing.T, endpoint, action string, arguments url.Values) string {
	t.Helper()
	arguments.Set("Action", action)
	arguments.Set("Version", "2010-03-31")
	return awsCall(t, endpoint, "application/x-www-form-urlencoded", http.Header{}, arguments.Encode())
}

// newQueue creates a FIFO queue and returns its URL.
func newQueue(t *testing.T, endpoint, name string) string {
	t.Helper()
	made := sqs(t, endpoint, "CreateQueue", fields{"QueueName": name, "Attributes": fields{"FifoQueue": "true"}})
	queue, _ := made["QueueUrl"].(string)
	require.NotEmpty(t, queue, made)
	return queue
}

// send sends a message, which the first byte of its body tells from others.
func send(t *testing.T, endpoint, queue, body string) {
	t.Helper()
	sent := sqs(t, endpoint, "SendMessage", fields{
		"QueueUrl": queue, "MessageBody": body, "MessageGroupId": "g", "MessageDeduplicationId": body[:1],
	})
	require.NotEmpty(t, sent["MessageId"], sent)
}

// bodies receives once and returns what came.
func bodies(t *testing.T, endpoint, queue string) []string {
	t.Helper()
	answer := sqs(t, endpoint, "ReceiveMessage", fields{"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 2})
	var all []string
	messages, _ := answer["Messages"].([]any)
	for _, m := range messages {
		message, ok := m.(fields)
		require.True(t, ok)
		body, ok := message["Body"].(string)
		require.True(t, ok)
		all = append(all, body)
	}
	return all
}

// TestLocalStackDeliversAndIsInjured sends from a topic to a queue, and does to the server what a
// test can do to it.
func TestLocalStackDeliversAndIsInjured(t *testing.T) {
	t.Parallel()
	s := brokertest.StartLocalStack(t, nil)
	queue := newQueue(t, s.URL(), "orders-billing.fifo")
	fifo := url.Values{"Name": {"orders.fifo"}, "Attributes.entry.1.key": {"FifoTopic"}, "Attributes.entry.1.value": {"true"}}
	require.Contains(t, sns(t, s.URL(), "CreateTopic", fifo), "<TopicArn>")
	topic := "arn:aws:sns:" + brokertest.AWSRegion + ":000000000000:orders.fifo"
	subscribed := sns(t, s.URL(), "Subscribe", url.Values{
		"TopicArn": {topic}, "Protocol": {"sqs"}, "Endpoint": {"arn:aws:sqs:" + brokertest.AWSRegion + ":000000000000:orders-billing.fifo"},
		"Attributes.entry.1.key": {"RawMessageDelivery"}, "Attributes.entry.1.value": {"true"},
	})
	require.Contains(t, subscribed, "<SubscriptionArn>")
	sns(t, s.URL(), "Publish", url.Values{
		"TopicArn": {topic}, "Message": {"one"}, "MessageGroupId": {"g"}, "MessageDeduplicationId": {"1"},
	})
	require.Equal(t, []string{"one"}, bodies(t, s.URL(), queue))

	require.NoError(t, s.Pause())
	require.NoError(t, s.Resume())
	s.Kill()
	require.Empty(t, sqs(t, s.URL(), "ListQueues", fields{}))
	require.NoError(t, s.Start(t.Context()))
	require.Empty(t, sqs(t, s.URL(), "ListQueues", fields{})["QueueUrls"], "it keeps nothing")
}

// TestAWSServersListenOnLoopbackAlone knows a service that listens on all interfaces by another
// address of this machine that reaches it.
func TestAWSServersListenOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	for name, endpoint := range map[string]func(testing.TB) string{"LocalStack": brokertest.LocalStack, "ElasticMQ": brokertest.ElasticMQ} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := url.Parse(endpoint(t))
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1", at.Hostname())
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", "127.0.0.2:"+at.Port())
			if err == nil {
				_ = conn.Close()
			}
			require.Error(t, err, "somebody listens on 127.0.0.2 too")
		})
	}
}

func TestElasticMQKeepsItsDataOverAKill(t *testing.T) {
	t.Parallel()
	s := brokertest.StartElasticMQ(t, &brokertest.ElasticMQOptions{Persist: true})
	queue := newQueue(t, s.URL(), "orders.fifo")
	for _, body := range []string{"1 one", "2 two", "3 three"} {
		send(t, s.URL(), queue, body)
	}
	time.Sleep(time.Second) // what was sent in the last second may be lost
	s.Kill()
	require.Empty(t, sqs(t, s.URL(), "ListQueues", fields{}))
	require.NoError(t, s.Start(t.Context()))
	require.Equal(t, []string{"1 one", "2 two", "3 three"}, bodies(t, s.URL(), queue))
	require.NoError(t, s.Pause())
	require.NoError(t, s.Resume())
	require.NoError(t, s.Restart(t.Context()))
	require.NotEmpty(t, sqs(t, s.URL(), "ListQueues", fields{})["QueueUrls"])
}

func TestElasticMQKeepsNothingByDefault(t *testing.T) {
	t.Parallel()
	s := brokertest.StartElasticMQ(t, nil)
	queue := newQueue(t, s.URL(), "orders.fifo")
	send(t, s.URL(), queue, strings.Repeat("x", 1<<20))
	require.NoError(t, s.Restart(t.Context()))
	require.Empty(t, sqs(t, s.URL(), "ListQueues", fields{})["QueueUrls"])
}

func TestKeptAWSServersAreFoundAgain(t *testing.T) {
	t.Parallel()
	t.Run("LocalStack", func(t *testing.T) {
		t.Parallel()
		brokertest.LocalStack(t) // skips where there is none
		dir := filepath.Join(t.TempDir(), "kept")
		_, err := brokertest.OpenLocalStack(t.Context(), dir)
		require.ErrorIs(t, err, os.ErrNotExist)
		first, err := brokertest.KeepLocalStack(t.Context(), dir, nil)
		require.NoError(t, err)
		second := startKept(t, first, func() (*brokertest.AWSServer, error) { return brokertest.KeepLocalStack(t.Context(), dir, nil) })
		require.Equal(t, first.PID(), second.PID())
	})
	t.Run("ElasticMQ", func(t *testing.T) {
		t.Parallel()
		brokertest.ElasticMQ(t) // skips where there is none
		dir := filepath.Join(t.TempDir(), "kept")
		first, err := brokertest.KeepElasticMQ(t.Context(), dir, nil)
		require.NoError(t, err)
		second := startKept(t, first, func() (*brokertest.AWSServer, error) { return brokertest.OpenElasticMQ(t.Context(), dir) })
		require.Equal(t, first.PID(), second.PID())
	})
}

// startKept starts a server that outlives its program, until the test ends, and opens it again.
func startKept(t *testing.T, first *brokertest.AWSServer, open func() (*brokertest.AWSServer, error)) *brokertest.AWSServer {
	t.Helper()
	t.Cleanup(first.Kill)
	require.NoError(t, first.Start(t.Context()))
	second, err := open()
	require.NoError(t, err)
	require.Equal(t, first.URL(), second.URL())
	require.True(t, second.Running())
	return second
}

func TestAWSServersAreShared(t *testing.T) {
	t.Parallel()
	for _, get := range []func(testing.TB) string{brokertest.LocalStack, brokertest.ElasticMQ} {
		first := get(t)
		require.Equal(t, first, get(t), "the next test gets the same one")
	}
}
