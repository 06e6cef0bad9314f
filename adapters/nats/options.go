package nats

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options are the options of a [Broker]. Hosts is required; the zero value of everything else
// works.
type Options struct {
	// Hosts are the servers to connect to, each "host:port"; without a port it is 4222. Each
	// attempt takes the next one. Other servers of the cluster that these tell of are used too,
	// unless a password or token would go to them without TLS.
	Hosts []string
	// ClientID is what the servers call the connections, with what each is for behind it. "" means
	// "leat".
	ClientID string

	// Credentials returns user and password. Like the functions below it is called for each
	// connection, so that secrets can be changed while the program runs, and must end when ctx
	// does. At most one of the four may be set. Nil means none.
	Credentials func(ctx context.Context) (user, password string, err error)
	// Token returns a token.
	Token func(ctx context.Context) (string, error)
	// Creds returns the text of a credentials file: a JWT and the seed of its nkey. The seed signs
	// and is never sent.
	Creds func(ctx context.Context) (string, error)
	// NKey returns the seed of a user's nkey. It signs and is never sent.
	NKey func(ctx context.Context) (string, error)
	// TLS turns TLS on. Its ServerName, where empty, is the host that is dialed; TLS 1.2 is the
	// least. Nil means TLS only where a server asks for it.
	TLS *tls.Config
	// AllowPlaintext allows to send a password or token without TLS to any host. Otherwise only
	// this machine gets it so: localhost, 127.0.0.0/8 and ::1.
	AllowPlaintext bool
	// Domain is the JetStream domain. "" means that of the servers.
	Domain string
	// InboxPrefix begins the subjects to which servers send answers and messages, for users who may
	// not subscribe to "_INBOX.>". It has no dot at its end. "" means "_INBOX".
	InboxPrefix string

	// Buffer is how many events may be published and not yet confirmed; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// 0 means 64 MiB.
	BufferBytes int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// MaxMessageBytes is the largest message with its headers. It must not exceed the servers'
	// max_payload. The largest event is half of it, since JSON may double an event that does not
	// fit into headers. 0 means 1 MiB, the servers' default.
	MaxMessageBytes int
	// Structured publishes events in structured mode, as JSON, as far as they fit into
	// MaxMessageBytes like that. Both modes are always read.
	Structured bool
	// Deduplicate lets a stream drop an event that was published before with the same source and
	// id, within the stream's duplicate window of 2 minutes. The second publish is confirmed too.
	Deduplicate bool

	// AckWait is after how long a server delivers a message again that nobody has extended. Streams
	// extend what they hold, so that handlers may take longer. A stream that takes over from one
	// that died waits as long. It is a property of a consumer, and counts when Leat creates that. 0
	// means 30 s.
	AckWait time.Duration
	// PinnedTTL is after how long without a request a server makes another stream of an ordered
	// group the active one. It counts when Leat creates a consumer. 0 means 10 s, or AckWait where
	// that is less.
	PinnedTTL time.Duration
	// Mapping makes events of messages that are not CloudEvents: [foreign.Plain],
	// [foreign.Structured], one of your own, or several by [foreign.First]. Nil means none: such
	// messages are malformed.
	Mapping foreign.Mapping
	// KeyHeader names the header with the key of messages whose events have no partitionkey. ""
	// means none.
	KeyHeader string

	// Provision says what Declare and Subscribe do about streams and consumers. The zero value
	// creates those that are missing.
	Provision Provision
	// Start is where a new group begins. The zero value is the oldest message of the stream.
	Start Start
	// Replicas is how many servers keep a stream that Leat creates. 0 means 1.
	Replicas int
	// MaxAge is how long such a stream keeps messages. 0 means indefinitely.
	MaxAge time.Duration
	// Stream changes what a topic is on the servers: when it is called, c has what Leat would
	// create, Name and Subjects included. Events go to the first of the subjects. It is called once
	// for each topic, and again where a stream is created.
	Stream func(topic string, c *jetstream.StreamConfig)
	// Consumer changes what a group is on the servers, as Stream does for a topic.
	Consumer func(sub leat.Subscription, c *jetstream.ConsumerConfig)

	// RequestTimeout bounds a request such as those of Declare, where the caller's ctx does not. 0
	// means 10 s.
	RequestTimeout time.Duration
	// DialTimeout bounds one attempt to connect. 0 means 5 s.
	DialTimeout time.Duration
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know. Nil means no log.
	Logger *slog.Logger
}

// Provision says what is done about streams and consumers.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates what does not exist, and checks what does.
	ProvisionCreate Provision = iota
	// ProvisionVerify creates nothing, and reports what does not exist or cannot hold what is asked
	// for.
	ProvisionVerify
	// ProvisionOff lets Declare do nothing. Subscribe needs what it subscribes to in any case.
	ProvisionOff
)

// Start says where a new group begins.
type Start uint8

// The starts of a group.
const (
	// StartOldest begins with the oldest message that the stream keeps.
	StartOldest Start = iota
	// StartNew begins with the first message after Declare.
	StartNew
)

const (
	mostHeaderBytes = 60 << 10 // JetStream takes 64 KiB
	overheadBytes   = 4 << 10  // of a message, beside an event in JSON: trace context, message id
	subjectPrefix   = "leat."
	defaultInbox    = "_INBOX"
	minAckWait      = time.Second
)

// table lists the options that are plain values.
func (o *Options) table() options.Table {
	const least, most, longest = time.Millisecond, time.Hour, 24 * time.Hour
	pinnedTTL := min(10*time.Second, cmp.Or(o.AckWait, 30*time.Second))
	return options.Table{
		options.Hosts(&o.Hosts, "4222"),
		options.Text("ClientID", &o.ClientID, "leat"),
		options.Bool("AllowPlaintext", &o.AllowPlaintext),
		options.Text("Domain", &o.Domain, ""),
		options.Text("InboxPrefix", &o.InboxPrefix, defaultInbox),
		options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, 1<<40),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Second, longest),
		options.Int("MaxMessageBytes", &o.MaxMessageBytes, 1<<20, 128<<10, 64<<20),
		options.Bool("Structured", &o.Structured),
		options.Bool("Deduplicate", &o.Deduplicate),
		options.Duration("AckWait", &o.AckWait, 30*time.Second, time.Second, longest),
		options.Duration("PinnedTTL", &o.PinnedTTL, pinnedTTL, time.Second, most),
		options.Mapping(&o.Mapping),
		options.Text("KeyHeader", &o.KeyHeader, ""),
		options.Enum("Provision", &o.Provision, "create", "verify", "off"),
		options.Enum("Start", &o.Start, "oldest", "new"),
		options.Int("Replicas", &o.Replicas, 1, 1, 5),
		options.Duration("MaxAge", &o.MaxAge, 0, 0, 100*365*24*time.Hour),
		options.Duration("RequestTimeout", &o.RequestTimeout, 10*time.Second, least, most),
		options.Duration("DialTimeout", &o.DialTimeout, 5*time.Second, least, most),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, least, most),
		options.Logger(&o.Logger),
	}
}

// withDefaults returns a copy of o with its defaults filled in. o may be nil.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.table().Fill()
	d.TLS = options.SecureTLS(d.TLS)
	return d
}

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate() error {
	if err := o.table().Check(); err != nil {
		return err
	}
	ways := 0
	for _, get := range []func(context.Context) (string, error){o.Token, o.Creds, o.NKey} {
		if get != nil {
			ways++
		}
	}
	if ways > 1 || ways == 1 && o.Credentials != nil {
		return options.Reason("more than one of Credentials, Token, Creds and NKey; set one (of user:password@ or " +
			"password_file, token@ or token_file, creds_file and nkey_file)")
	}
	if strings.ContainsAny(o.Domain, ".*> \t\r\n") {
		return options.Reason("Options.Domain (domain) is not a name; write one without dots, spaces, '*' and '>'")
	}
	if slices.Contains(strings.Split(o.InboxPrefix, "."), "") || strings.ContainsAny(o.InboxPrefix, "*> \t\r\n") {
		return options.Reason("Options.InboxPrefix (inbox_prefix) is not a subject; write names with dots between them, " +
			"without spaces, '*' and '>'")
	}
	for _, address := range o.Hosts {
		if o.discreet() && !options.IsLocal(address) {
			return options.Reason("a password or token without TLS shows it to the network; " +
				"use TLS (tls://), or set AllowPlaintext (allow_plaintext=true)")
		}
	}
	return nil
}

// discreet reports whether only this machine may be connected to, since something secret is sent as
// it is.
func (o *Options) discreet() bool {
	return o.TLS == nil && !o.AllowPlaintext && (o.Credentials != nil || o.Token != nil)
}

// inbox returns what begins the subjects of one purpose.
func (o *Options) inbox() string {
	return o.InboxPrefix + strings.TrimPrefix(nats.NewInbox(), defaultInbox) + "."
}

// mostEventBytes is the size of the largest event. One whose attributes do not fit into headers has
// to be written as JSON, in which a character that is escaped takes two.
func (o *Options) mostEventBytes() int { return min((o.MaxMessageBytes-overheadBytes)/2, 1<<20) }
