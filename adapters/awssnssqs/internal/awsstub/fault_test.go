package awsstub_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	send := func(ctx context.Context) error {
		_, err := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String("a")})
		return err
	}
	repair := b.Break(awsstub.Fault{Action: "SendMessage", Share: 0.5, Code: "ThrottlingException"})
	refused := 0
	for range 100 {
		if err := send(t.Context()); err != nil {
			require.Equal(t, "ThrottlingException", codeOf(t, err))
			refused++
		}
	}
	require.InDelta(t, 50, refused, 20)
	repair()

	repair = b.Break(awsstub.Fault{Action: "SendMessage", Times: 1, Code: "AccessDenied"})
	require.Equal(t, "AccessDenied", codeOf(t, send(t.Context())))
	require.NoError(t, send(t.Context()), "it was for one call")
	repair()

	before := b.Calls()["SendMessage"]
	repair = b.Break(awsstub.Fault{Action: "SendMessage", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, send(ctx), context.DeadlineExceeded)
	repair()
	require.Equal(t, before+1, b.Calls()["SendMessage"])
}

func TestPauseHoldsRequests(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	require.NoError(t, b.Pause())
	sent := make(chan error)
	go func() {
		_, err := b.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &b.url, MessageBody: aws.String("a")})
		sent <- err
	}()
	select {
	case err := <-sent:
		require.NoError(t, err)
		require.Fail(t, "it was answered")
	case <-time.After(100 * time.Millisecond): // long enough to be answered
	}
	require.NoError(t, b.Resume())
	require.NoError(t, <-sent)
	require.Equal(t, []string{"a"}, b.bodies())
}

func TestWhoSignsAndWhen(t *testing.T) {
	t.Parallel()
	b := start(t, "q", nil)
	list := func(change func(o *sqs.Options)) error {
		_, err := b.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{}, change)
		return err
	}
	as := func(id string) func(o *sqs.Options) {
		return func(o *sqs.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: id, SecretAccessKey: "any"}, nil
			})
		}
	}
	require.NoError(t, list(as(awsstub.KeyID)))
	require.Equal(t, "InvalidClientTokenId", codeOf(t, list(as("another"))))
	require.Equal(t, "SignatureDoesNotMatch", codeOf(t, list(func(o *sqs.Options) { o.Region = "eu-west-1" })))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL(), strings.NewReader("{}"))
	require.NoError(t, err)
	answer, err := b.cfg.HTTPClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode, "without a signature")
	b.Skew(10 * time.Minute)
	client := sqs.NewFromConfig(b.cfg)
	_, err = client.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	require.Equal(t, "SignatureDoesNotMatch", codeOf(t, err))
	b.Skew(0)
	require.NoError(t, list(as(awsstub.KeyID)))
}

// TestKillKeepsWhatIsStored: a request that waits gets nothing, what is lent stays lent, and what
// was sent is known.
func TestKillKeepsWhatIsStored(t *testing.T) {
	t.Parallel()
	b := start(t, "q.fifo", nil)
	b.send("a0", "b0")
	lent := b.receive("")
	require.Len(t, lent, 2)
	waited := make(chan error)
	go func() {
		_, err := b.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &b.url, WaitTimeSeconds: 20})
		waited <- err
	}()
	require.Eventually(t, func() bool { return b.Calls()["ReceiveMessage"] == 2 }, 10*time.Second, time.Millisecond)
	b.Kill()
	require.Error(t, <-waited)
	_, err := b.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{})
	require.Error(t, err)
	require.NoError(t, b.Start(t.Context()))
	b.send("a0", "a1") // a0 is known
	require.Empty(t, b.bodies(), "the group waits")
	require.NoError(t, b.delete(lent[0]))
	require.Equal(t, []string{"a1"}, b.bodies())
}
