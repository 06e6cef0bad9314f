package options_test

import (
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
)

type start uint8

// all has an option of every kind.
type all struct {
	Hosts       []string
	ClientID    string
	Codec       string
	Buffer      int
	Bytes       int64
	AckWait     time.Duration
	NoHistory   bool
	Start       start
	APIEndpoint string
	Mapping     foreign.Mapping
	Logger      *slog.Logger
}

func (a *all) table() options.Table {
	return options.Table{
		options.Hosts(&a.Hosts, "4222"), options.Text("ClientID", &a.ClientID, "leat"),
		options.OneOf("Codec", &a.Codec, "lz4", "none", "lz4", "zstd"), options.Int("Buffer", &a.Buffer, 10, 1, 100),
		options.Int("Bytes", &a.Bytes, 5, 1, 1<<40), options.Duration("AckWait", &a.AckWait, time.Minute, time.Second, time.Hour),
		options.Bool("NoHistory", &a.NoHistory), options.Enum("Start", &a.Start, "oldest", "new"),
		options.Endpoint("APIEndpoint", &a.APIEndpoint, "http", "https"), options.Mapping(&a.Mapping), options.Logger(&a.Logger),
	}
}

func (a *all) read(r *options.Reader) {
	a.table().Read(r)
	r.NoPath("there is no path")
}

// broker keeps the options that it was made of.
type broker struct {
	leat.Broker

	o all
}

func newBroker(o *all) (*broker, error) {
	b := &broker{o: *o}
	b.o.table().Fill()
	if err := b.o.table().Check(); err != nil {
		return nil, options.Invalid(err)
	}
	return b, nil
}

func open(t *testing.T, raw string) (*broker, error) {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	b, err := options.Open(u, (*all).read, newBroker)
	if err != nil {
		require.Nil(t, b, "a nil of type *broker would look like a broker")
		return nil, err
	}
	return b.(*broker), nil
}

func TestTableFillsInDefaults(t *testing.T) {
	opened, err := options.Open(&url.URL{Scheme: "nats", Host: "a,[::1]:1"}, (*all).read, newBroker)
	require.NoError(t, err)
	b := opened.(*broker)
	assert.NotNil(t, b.o.Logger)
	b.o.Logger = nil
	assert.Equal(t, all{
		Hosts: []string{"a:4222", "[::1]:1"}, ClientID: "leat", Codec: "lz4", Buffer: 10, Bytes: 5, AckWait: time.Minute,
	}, b.o)
}

func TestTableReadsEveryParameter(t *testing.T) {
	b, err := open(t, "nats://a:1?client_id=c&codec=zstd&buffer=2&bytes=1099511627776&ack_wait=3s&no_history&start=new"+
		"&api_endpoint=https%3A%2F%2Fh%3A1&mapping=plain")
	require.NoError(t, err)
	assert.NotNil(t, b.o.Mapping)
	b.o.Mapping, b.o.Logger = nil, nil
	assert.Equal(t, all{
		Hosts: []string{"a:1"}, ClientID: "c", Codec: "zstd", Buffer: 2, Bytes: 1 << 40, AckWait: 3 * time.Second, NoHistory: true,
		Start: 1, APIEndpoint: "https://h:1",
	}, b.o)
}

func TestTableChecks(t *testing.T) {
	with := func(change func(*all)) *all {
		a := &all{Hosts: []string{"h"}}
		change(a)
		return a
	}
	for text, o := range map[string]*all{
		"no address in Hosts; name at least one as host:port":                           {},
		"Options.Hosts: an address is empty; write host:port, and several as host:port": {Hosts: []string{""}},
		"Options.Codec is out of its range; use none, lz4 or zstd":                      with(func(a *all) { a.Codec = "gzip" }),
		"Options.Buffer is out of its range; use 1 to 100, or 0 for the default":        with(func(a *all) { a.Buffer = -1 }),
		"Options.Bytes is out of its range; use 1 to 1099511627776":                     with(func(a *all) { a.Bytes = -1 }),
		"Options.AckWait is out of its range; use 1s to 1h0m0s, or 0 for the default":   with(func(a *all) { a.AckWait = 1 }),
		"Options.Start is out of its range; use a constant of its type":                 with(func(a *all) { a.Start = 2 }),
		"Options.APIEndpoint is not a URL of its kind; write it as in http://host:port": with(func(a *all) { a.APIEndpoint = "h:1" }),
		"Options.APIEndpoint has a user": with(func(a *all) {
			a.APIEndpoint = "http://a:Sesame@h"
		}),
	} {
		_, err := newBroker(o)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), text)
		require.ErrorContains(t, err, text)
		assert.NotContains(t, err.Error(), "Sesame")
	}
	for _, endpoint := range []string{"ftp://h", "http://", "http://h?a=b", "http://h#a", "http://h:0", "http://h,i", ":", "//h"} {
		_, err := newBroker(with(func(a *all) { a.APIEndpoint = endpoint }))
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), endpoint)
	}
}

func TestOpenRefuses(t *testing.T) {
	for raw, text := range map[string]string{
		"nats://":                         "an address is empty",
		"nats://h/path":                   "there is no path",
		"nats://h#fragment":               "scheme://hosts?parameters",
		"nats:opaque":                     "scheme://hosts?parameters",
		"nats://h?start=old":              "parameter start is wrong; write one of oldest, new",
		"nats://h?clientid=1":             "parameter clientid is now called client_id",
		"nats://h?apiendpoint=1":          "parameter apiendpoint is now called api_endpoint",
		"nats://h?logger=1":               "parameter number 1 is unknown",
		"nats://h?api_endpoint=h":         "Options.APIEndpoint is not a URL",
		"nats://h:1/p?buffer=0&ack_wait=": "parameter buffer is wrong; write a number from 1 to 100; parameter ack_wait is wrong",
	} {
		_, err := open(t, raw)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), raw)
		require.ErrorContains(t, err, text, raw)
	}
	_, err := options.Open(nil, (*all).read, newBroker)
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
}

func TestInvalid(t *testing.T) {
	require.NoError(t, options.Invalid(nil))
	own := &leat.Error{Op: "open", Code: leat.CodeUnsupported, Err: options.Reason("not yet")}
	assert.Equal(t, own, options.Invalid(own))
}

func TestIsLocal(t *testing.T) {
	assert.True(t, options.IsLocal("localhost:4222"))
	assert.False(t, options.IsLocal("example.org:4222"))
}
