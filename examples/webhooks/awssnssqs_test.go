package main

import (
	"net/url"
	"testing"

	"github.com/leatgo/leat/internal/brokertest"
)

// TestSNSAndSQS runs the program on LocalStack: as one process, with nothing changed but the URL,
// and as several.
func TestSNSAndSQS(t *testing.T) {
	brokertest.AnyLogin()
	broker := "awssnssqs://?" + url.Values{
		"endpoint": {brokertest.StartLocalStack(t, nil).URL()}, "region": {brokertest.AWSRegion}, "wait": {"1s"}, "visibility": {"5s"},
	}.Encode()
	t.Run("in one process", func(t *testing.T) { inOneProcess(t, broker, "one") })
	t.Run("in several processes, one of which is killed", func(t *testing.T) { killSharing(t, broker, "many", 30) })
}
