package brokertest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// AWSServer is a LocalStack, which answers as SNS and SQS do, or an ElasticMQ, which answers as SQS
// does. Both accept any credentials and any signature. Neither is AWS: [StartLocalStack] and
// [StartElasticMQ] say what they get wrong.
//
// Both have in common: a long poll whose caller went away goes on at the server until its wait is
// over, as at AWS. What comes meanwhile is invisible for the visibility timeout, and counts as
// received. No request is throttled, no key for encryption is asked for, and no policy forbids
// anything.
//
// A test may injure the server as it does any [Process]. The methods are safe for concurrent use.
type AWSServer struct{ *server }

// AWSRegion is the region that the servers are in, for the signatures of clients and for ARNs.
const AWSRegion = "us-east-1"

// AnyLogin puts credentials into the environment of this process, where the SDK of AWS looks for
// them. The servers accept any.
func AnyLogin() {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		_ = os.Setenv(name, "test") // fails for names that are no names
	}
}

// URL returns the endpoint of all services, http://127.0.0.1:port.
func (s *AWSServer) URL() string { return awsURL(s.port) }

func awsURL(port int) string { return "http://" + address(port) }

// awsMaker returns a serverMaker for a server that answers as AWS does.
func awsMaker(create serverMaker) serverMaker {
	return func(dir string, port int) (spec, error) {
		how, err := create(dir, port)
		how.ready = func(ctx context.Context) error { return awsAnswers(ctx, awsURL(port)) }
		return how, err
	}
}

// newAWSServer wraps what a function for servers has returned.
func newAWSServer(s *server, err error) (*AWSServer, error) {
	if err != nil {
		return nil, err
	}
	return &AWSServer{s}, nil
}

// runAWS starts a server in a folder of its own.
func runAWS(ctx context.Context, create serverMaker) (*server, error) {
	return runServer(ctx, "leat-aws-", create, "Address already in use")
}

// firstAnswer is how long a server may take for its first answer: LocalStack loads its services
// then, and a busy machine takes half a minute for that. A request that is given up is work for it
// all the same.
const firstAnswer = time.Minute

// awsAnswers lists the queues of a server.
func awsAnswers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "AmazonSQS.ListQueues")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse))
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, answer.Status, text)
	}
	return err
}
