package awssnssqs_test

import (
	"testing"
	"time"

	"github.com/leatgo/leat/adapters/awssnssqs"
	"github.com/leatgo/leat/adapters/awssnssqs/internal/awsstub"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

// loaded begins a load on a server behind a proxy.
func loaded(t *testing.T, mode awssnssqs.Mode, url string) (*eventtest.Proxy, *brokertest.Load) {
	t.Helper()
	p, err := eventtest.StartProxy(url[len("http://"):])
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p, brokertest.StartLoad(t, liveIn(t, mode, "http://"+p.Addr()), brokertest.Name(t), nil)
}

// loadedStub begins a load on a stub.
func loadedStub(t *testing.T, mode awssnssqs.Mode) (*awsstub.Server, *eventtest.Proxy, *brokertest.Load) {
	t.Helper()
	server := awsstub.Start()
	t.Cleanup(server.Close)
	p, l := loaded(t, mode, server.URL())
	return server, p, l
}

var queueModes = map[string]awssnssqs.Mode{"sns": awssnssqs.ModeSNS, "sqs": awssnssqs.ModeSQS}

// cutUnderLoad cuts all connections again and again, which takes nothing away.
func cutUnderLoad(p *eventtest.Proxy, l *brokertest.Load) {
	times := rounds(5, 50)
	for range times {
		l.Progress(500)
		p.Cut()
	}
	l.Progress(500)
	l.Finish(times * brokertest.LoadInFlight)
}

func TestCutUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("ElasticMQ", func(t *testing.T) {
		t.Parallel()
		cutUnderLoad(loaded(t, awssnssqs.ModeSQS, brokertest.StartElasticMQ(t, nil).URL()))
	})
	for name, mode := range queueModes {
		t.Run("stub, "+name, func(t *testing.T) {
			t.Parallel()
			_, p, l := loadedStub(t, mode)
			cutUnderLoad(p, l)
		})
	}
}

// TestRestartsUnderLoad: the services go away with all connections and requests, and come back with
// what they have.
func TestRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	for name, mode := range queueModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _, l := loadedStub(t, mode)
			times := rounds(2, 20)
			for range times {
				l.Progress(500)
				server.Kill()
				require.NoError(t, server.Start(t.Context()))
			}
			l.Progress(500)
			l.Finish(times * brokertest.LoadInFlight)
		})
	}
}

// TestThrottledUnderLoad: half of all calls are throttled for minutes. What is held keeps its
// lease, so nothing is handled again.
func TestThrottledUnderLoad(t *testing.T) {
	t.Parallel()
	for name, mode := range queueModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _, l := loadedStub(t, mode)
			l.Progress(500)
			began, lasts := time.Now(), time.Duration(rounds(3, 300))*time.Second
			repair := server.Break(awsstub.Fault{Code: "Throttling", Share: 0.5})
			for time.Since(began) < lasts {
				l.Progress(100)
			}
			repair()
			l.Progress(500)
			l.Finish(0)
		})
	}
}
