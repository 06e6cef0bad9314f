package hostlist_test

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat/internal/hostlist"
)

func TestSplit(t *testing.T) {
	for list, want := range map[string][]string{
		"h":                             {"h"},
		"h:1":                           {"h:1"},
		"h1:1,h2:2":                     {"h1:1", "h2:2"},
		"h1:1,h2":                       {"h1:1", "h2"},
		"h1,h2:2,h3":                    {"h1", "h2:2", "h3"},
		"[::1]":                         {"[::1]"},
		"[::1]:1,[2001:db8::2]:2":       {"[::1]:1", "[2001:db8::2]:2"},
		"[::1],[::2]:1":                 {"[::1]", "[::2]:1"},
		"a:1,[fe80::1%eth0]:2,10.0.0.1": {"a:1", "[fe80::1%eth0]:2", "10.0.0.1"},
		"my_host.example.org:65535":     {"my_host.example.org:65535"},
	} {
		got, err := hostlist.Split(list)
		require.NoError(t, err, list)
		assert.Equal(t, want, got, list)
	}
}

func TestSplitRefuses(t *testing.T) {
	for list, text := range map[string]string{
		"": "is empty", "a,": "is empty", ",a": "is empty", "a,,b": "is empty", ":1": "not host:port", "a:": "port", "a:0": "port",
		"a:65536": "port", "a:x": "port", "a:1:2": "port", "a:+1": "port", "::1": "not host:port", "[::1": "not host:port",
		"[::1]1": "not host:port", "[::1]:": "port", "[h]:1": "not host:port", "[::1%]:1": "not host:port", "[127.0.0.1]:1": "not host:port",
		"a b:1": "not host:port", "a%41:1": "not host:port", "ü:1": "not host:port", "u:p@h:1": "port", "u@h": "not host:port",
		"a/b": "not host:port", "[fe80::1%a b]": "not host:port", "s3cret!": "not host:port",
	} {
		_, err := hostlist.Split(list)
		require.ErrorContains(t, err, text, list)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestWithPort(t *testing.T) {
	for address, want := range map[string]string{
		"h": "h:9", "h:1": "h:1", "[::1]": "[::1]:9", "[::1]:1": "[::1]:1", "::1": "[::1]:9", "fe80::1%eth0": "[fe80::1%eth0]:9",
		"[fe80::1%eth0]": "[fe80::1%eth0]:9", "10.0.0.1": "10.0.0.1:9",
	} {
		got, err := hostlist.WithPort(address, "9")
		require.NoError(t, err, address)
		assert.Equal(t, want, got, address)
	}
	for _, address := range []string{"", ":1", "h:", "h:amqp", "[h]"} {
		_, err := hostlist.WithPort(address, "9")
		assert.Error(t, err, address)
	}
}

func TestIsLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"localhost": true, "LocalHost:1": true, "a.localhost": true, "127.0.0.1": true, "127.1.2.3:1": true, "[::1]:1": true, "::1": true,
		"[::ffff:127.0.0.1]:1": true, "h": false, "localhost.example.org": false, "10.0.0.1:1": false, "[::2]:1": false, "": false,
		"127.0.0.1.example.org": false, "0.0.0.0": false,
	} {
		assert.Equal(t, want, hostlist.IsLoopback(address), address)
	}
}

func TestUnescape(t *testing.T) {
	for list, want := range map[string]string{
		"": "", "a:1,b": "a:1,b", "[fe80::1%25eth0]:1,h:2": "[fe80::1%eth0]:1,h:2", "[fe80::1%25a%2Db]": "[fe80::1%a-b]",
		"h,[::1]": "h,[::1]",
	} {
		got, err := hostlist.Unescape(list)
		require.NoError(t, err, list)
		assert.Equal(t, want, got, list)
	}
	for _, list := range []string{
		",", "a%25b", "a%20b", "[fe80::1%eth0]:1", "[fe80::1%25]:1", "[fe80::1%25a%]:1", "[fe80::1%25a%25b]", "[fe80::1%25a%2Cb]", "a:b",
	} {
		_, err := hostlist.Unescape(list)
		assert.Error(t, err, list)
	}
}

// FuzzSplit: every address of a list can be dialed as it is, once it has a port, and makes up the
// list again.
func FuzzSplit(f *testing.F) {
	for _, list := range []string{"a:1,b", "[::1%e]:1", "::1", "a:b@c", "[", "%25", "h:65535,[fe80::1%25e]"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		addresses, err := hostlist.Split(list)
		if err != nil {
			return
		}
		if strings.Join(addresses, ",") != list {
			t.Fatalf("%q became %q", list, addresses)
		}
		for _, address := range addresses {
			full, err := hostlist.WithPort(address, "9")
			if err != nil {
				t.Fatal(err)
			}
			if host, port, err := net.SplitHostPort(full); err != nil || host == "" || port == "" {
				t.Fatalf("%q cannot be dialed: %v", full, err)
			}
		}
	})
}
