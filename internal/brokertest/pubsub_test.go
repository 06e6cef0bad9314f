package brokertest_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/brokertest"
)

const pubSubProject = "projects/leat-test/"

// pubSub sends a request as JSON, which an emulator takes beside gRPC. It returns nil when the
// emulator does not answer.
func pubSub(t *testing.T, addr, method, name string, body fields) fields {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+"/v1/"+pubSubProject+name, strings.NewReader(string(text)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: brokertest.Patience}
	answer, err := client.Do(request)
	if err != nil {
		return nil
	}
	defer answer.Body.Close() //nolint:errcheck // it is done with
	text, err = io.ReadAll(answer.Body)
	require.NoError(t, err)
	all := fields{}
	require.NoError(t, json.Unmarshal(text, &all), string(text))
	return all
}

// TestPubSubDeliversAndIsInjured sends from a topic to a subscription, and does to the emulator
// what a test can do to it.
func TestPubSubDeliversAndIsInjured(t *testing.T) {
	t.Parallel()
	s := brokertest.StartPubSub(t, nil)
	require.Contains(t, pubSub(t, s.Addr(), http.MethodPut, "topics/orders", fields{}), "name")
	require.Contains(t, pubSub(t, s.Addr(), http.MethodPut, "subscriptions/billing", fields{"topic": pubSubProject + "topics/orders"}), "name")
	published := pubSub(t, s.Addr(), http.MethodPost, "topics/orders:publish", fields{"messages": []fields{{"data": "b25l"}}})
	require.Contains(t, published, "messageIds")
	pulled := pubSub(t, s.Addr(), http.MethodPost, "subscriptions/billing:pull", fields{"maxMessages": 10})
	require.Contains(t, pulled, "receivedMessages")
	text, err := json.Marshal(pulled)
	require.NoError(t, err)
	require.Contains(t, string(text), `"data":"b25l"`)

	require.NoError(t, s.Pause())
	require.NoError(t, s.Resume())
	s.Kill()
	require.Nil(t, pubSub(t, s.Addr(), http.MethodGet, "topics", nil))
	require.NoError(t, s.Start(t.Context()))
	require.Empty(t, pubSub(t, s.Addr(), http.MethodGet, "topics", nil)["topics"], "it keeps nothing")
}

func TestPubSubListensOnLoopbackAlone(t *testing.T) {
	t.Parallel()
	host, port, err := net.SplitHostPort(brokertest.PubSub(t))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", "127.0.0.2:"+port)
	if err == nil {
		_ = conn.Close()
	}
	require.Error(t, err, "somebody listens on 127.0.0.2 too")
}

func TestKeptPubSubIsFoundAgain(t *testing.T) {
	t.Parallel()
	one := brokertest.PubSub(t) // skips where there is none
	require.Equal(t, one, brokertest.PubSub(t), "the next test gets the same one")
	dir := filepath.Join(t.TempDir(), "kept")
	_, err := brokertest.OpenPubSub(t.Context(), dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	first, err := brokertest.KeepPubSub(t.Context(), dir, nil)
	require.NoError(t, err)
	t.Cleanup(first.Kill)
	require.NoError(t, first.Start(t.Context()))
	second, err := brokertest.OpenPubSub(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, first.Addr(), second.Addr())
	require.Equal(t, first.PID(), second.PID())
	require.True(t, second.Running())
}
