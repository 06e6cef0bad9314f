package brokertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
type AWSServer struct {
	*Process

	box  *sandbox // nil for one that is kept
	port int
}

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
func (s *AWSServer) URL() string { return "http://" + address(s.port) }

// Close kills the server and removes its folder, unless that is kept.
func (s *AWSServer) Close() error {
	s.Kill()
	if s.box == nil {
		return nil
	}
	return s.box.close()
}

// awsMaker makes the process of a server in its folder.
type awsMaker func(dir string, port int) (spec, error)

// runAWS starts a server in a folder of its own.
func runAWS(ctx context.Context, create awsMaker) (*AWSServer, error) {
	return startNew(ctx, func() (*AWSServer, error) {
		box, err := newSandbox(ctx, "leat-aws-")
		if err != nil {
			return nil, err
		}
		s, err := newAWS(ctx, create, box.dir, box)
		if err != nil {
			return nil, errors.Join(err, box.close())
		}
		return s, nil
	}, "Address already in use")
}

// newAWS makes a server, which does not run yet, on a free port.
func newAWS(ctx context.Context, create awsMaker, dir string, box *sandbox) (*AWSServer, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	return placeAWS(create, dir, ports[0], box)
}

// placeAWS makes a server in the folder "server" of dir.
func placeAWS(create awsMaker, dir string, port int, box *sandbox) (*AWSServer, error) {
	dir = filepath.Join(dir, "server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &AWSServer{box: box, port: port}
	how, err := create(dir, port)
	if err != nil {
		return nil, err
	}
	how.dir, how.guard = dir, box
	how.ready = func(ctx context.Context) error { return awsAnswers(ctx, s.URL()) }
	s.Process = &Process{spec: how}
	return s, nil
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
