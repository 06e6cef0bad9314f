package awssnssqs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// slowLogin does not answer the first time, such as a metadata service that is not up yet.
type slowLogin struct{ asked *atomic.Bool }

func (s slowLogin) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.asked.CompareAndSwap(false, true) {
		<-ctx.Done()
		return aws.Credentials{}, ctx.Err()
	}
	return static{}.Retrieve(ctx)
}

// TestSlowLogin: a request that waited for credentials until its time was over says nothing about
// connections, and refuses nothing. Its event is published when there are credentials.
func TestSlowLogin(t *testing.T) {
	t.Parallel()
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := onStub(t, o)
			name := awssnssqs.QueueName(!o.Standard, faultTopic)
			id := arnOf("sns", name)
			if o.Mode == awssnssqs.ModeSQS {
				id = s.server.URL() + "/" + awsstub.Account + "/" + name
			}
			o.RequestTimeout, o.DeliveryTimeout, o.Topics = 200*time.Millisecond, 5*time.Second, map[string]string{faultTopic: id}
			o.Config = &aws.Config{Region: awsstub.Region, Credentials: slowLogin{new(atomic.Bool)}}
			s.b = s.open(o)
			require.NoError(t, s.publish(s.events(1, 1))[0])
			require.NoError(t, s.b.Health())
		})
	}
}

// noLogin is a service of credentials that fails.
type noLogin struct{ err error }

func (n noLogin) Retrieve(context.Context) (aws.Credentials, error) { return aws.Credentials{}, n.err }

// TestFailedLogin: nothing was sent, whatever the service of credentials says. Only what it refuses
// is refused.
func TestFailedLogin(t *testing.T) {
	t.Parallel()
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for name, c := range map[string]struct {
		err  error
		want leat.Code
	}{
		"it fails":       {&smithy.GenericAPIError{Code: "InternalFailure", Fault: smithy.FaultServer}, leat.CodeUnavailable},
		"it throttles":   {&smithy.GenericAPIError{Code: "Throttling", Fault: smithy.FaultClient}, leat.CodeExhausted},
		"it refuses":     {&smithy.GenericAPIError{Code: "ExpiredToken", Fault: smithy.FaultClient}, leat.CodeUnauthenticated},
		"it is silent":   {&smithyhttp.RequestSendError{Err: io.EOF}, leat.CodeUnavailable},
		"it is strange":  {&smithy.GenericAPIError{Code: "IDPCommunicationError", Fault: smithy.FaultClient}, leat.CodeUnavailable},
		"it is away":     {&smithy.OperationError{ServiceID: "STS", Err: dial}, leat.CodeUnavailable},
		"it is not here": {&smithy.OperationError{ServiceID: "ec2imds", Err: dial}, leat.CodeUnauthenticated},
		"there is none":  {errors.New("no providers"), leat.CodeUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := onStub(t, awssnssqs.Options{Mode: awssnssqs.ModeSQS})
			id := s.server.URL() + "/" + awsstub.Account + "/" + awssnssqs.QueueName(true, faultTopic)
			s.b = s.open(awssnssqs.Options{
				Mode: awssnssqs.ModeSQS, DeliveryTimeout: time.Second, Topics: map[string]string{faultTopic: id},
				Config: &aws.Config{Region: awsstub.Region, Credentials: noLogin{c.err}},
			})
			err := s.publish(s.events(1, 1))[0]
			require.Equal(t, c.want, leat.CodeOf(err), "%v", err)
		})
	}
}

// silentLogin is a service of credentials that never answers.
type silentLogin struct{}

func (silentLogin) Retrieve(ctx context.Context) (aws.Credentials, error) {
	<-ctx.Done()
	return aws.Credentials{}, ctx.Err()
}

// TestEventsWaitForTheLogin: an event that waits for credentials is not sent, so that it is refused
// and not unknown when its publisher gives up, or its time is over.
func TestEventsWaitForTheLogin(t *testing.T) {
	t.Parallel()
	for mode, o := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			o.Topics = map[string]string{faultTopic: arnOf("sns", awssnssqs.QueueName(!o.Standard, faultTopic))}
			if o.Mode == awssnssqs.ModeSQS {
				o.Topics[faultTopic] = "http://127.0.0.1:1/" + awsstub.Account + "/" + awssnssqs.QueueName(!o.Standard, faultTopic)
			}
			o.Endpoint, o.DeliveryTimeout, o.RequestTimeout = "http://127.0.0.1:1", time.Second, 200*time.Millisecond
			o.Config = &aws.Config{Region: awsstub.Region, Credentials: silentLogin{}}
			b, err := awssnssqs.New(&o)
			require.NoError(t, err)
			defer func() { require.NoError(t, b.Close()) }()
			p := leat.NewProducer(b, nil)
			events := brokertest.Events(t, 0, 2, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			refused := []leat.Code{leat.CodeCanceled, leat.CodeUnavailable} // the latter where a login has failed by then
			require.Contains(t, refused, leat.CodeOf(p.Publish(ctx, faultTopic, events[0])))
			err = p.Publish(t.Context(), faultTopic, events[1])
			require.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "credentials")
		})
	}
}
