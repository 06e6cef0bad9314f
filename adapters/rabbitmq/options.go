package rabbitmq

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
	"github.com/leatgo/leat/internal/rabbit"
)

// Options are the options of a [Broker]. Hosts is required; the zero value of everything else
// works.
type Options struct {
	// Hosts are the nodes to connect to, each "host:port"; without a port it is 5672, and 5671 with
	// TLS. Each attempt takes the next one.
	Hosts []string
	// VHost is the virtual host. "" means "/".
	VHost string
	// Credentials returns user and password. It is called for each connection, so that they can be
	// changed while the program runs. It must end when ctx does: Close waits for it. Nil means
	// guest and guest, which RabbitMQ takes from its own machine only; with External it is not
	// called.
	Credentials func(ctx context.Context) (user, password string, err error)
	// External logs in by the certificate in TLS (SASL EXTERNAL), for which the server needs
	// rabbitmq_auth_mechanism_ssl.
	External bool
	// TLS turns TLS on. Its ServerName, where empty, is the host that is dialed; TLS 1.2 is the
	// least. Nil means no TLS.
	TLS *tls.Config
	// AllowPlaintext allows to send the password of Credentials as it is, without TLS, to any host
	// and to the management API. Otherwise only this machine gets it so: localhost, 127.0.0.0/8 and
	// ::1.
	AllowPlaintext bool
	// ClientID is what the management pages call the connections (connection_name), with what each
	// is for behind it. "" means "leat".
	ClientID string
	// Heartbeat is how often both sides report at least. The client gives a connection up without a
	// sign of life for one and a half times as long, RabbitMQ for two to three times. Leases end
	// before RabbitMQ takes their messages back, at the latest when it has not answered the client
	// for 1.8 times as long. 0 means 10 s.
	Heartbeat time.Duration

	// Buffer is how many events may be published and not yet confirmed; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// 0 means 64 MiB.
	BufferBytes int
	// ConfirmWindow is how many events of one channel may be with the broker and not yet confirmed.
	// A channel takes about 400 bytes for each. 0 means 1,000.
	ConfirmWindow int
	// PublishChannels is over how many channels publishes are spread, by topic and key. 0 means 4,
	// by which quorum queues take a third more than by one; with [QueueClassic] it means 1, since
	// classic queues take less by several.
	PublishChannels int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// MaxMessageBytes is the largest body. It must not exceed the broker's max_message_size. The
	// largest event is half of it, since JSON may double an event that does not fit into headers,
	// and 1 MiB at most. 0 means 16 MiB, RabbitMQ 4's default.
	MaxMessageBytes int
	// Structured publishes events in structured mode, as JSON in the body, as far as they fit into
	// MaxMessageBytes like that. Both modes are always read.
	Structured bool
	// RoutingKey returns the routing key of an event, of at most 255 bytes. It must be quick and is
	// called by many goroutines. Nil means the event's type, cut to 255 bytes.
	RoutingKey func(topic string, e leat.Event) string
	// Unroutable says what becomes of an event that no queue takes. The zero value refuses it.
	Unroutable Unroutable

	// RecycleAfter is how long a delivery may be unsettled before its channel is closed and opened
	// again, which delivers it once more. It must be less than the broker's consumer_timeout, 30
	// minutes unless that is set. 0 means 25 minutes.
	RecycleAfter time.Duration
	// Mapping makes events of messages that are not CloudEvents, whatever the reason is:
	// [foreign.Plain], [foreign.Structured], one of your own, or several by [foreign.First]. Nil
	// means none: such messages are malformed.
	Mapping foreign.Mapping
	// KeyFrom says where a message has its key, by which order is kept where its event has no
	// partitionkey: "routing_key", or "header:" and the name of a header. RabbitMQ itself knows no
	// such key. Empty means that there is none.
	KeyFrom string

	// Provision says what Declare does about exchanges and queues. The zero value creates those
	// that are missing.
	Provision Provision
	// ManagementURL is where the management API of a node is, such as "http://host:15672". It is
	// asked with Credentials, which must be set where External is, and with TLS for https, which it
	// must be where TLS is set. ProvisionVerify needs it to see arguments, kinds and bindings;
	// without it, the log says that they are not verified.
	ManagementURL string
	// QueueType is the type of the queues of groups. The zero value is [QueueQuorum].
	QueueType QueueType
	// DeliveryLimit is how often a quorum queue delivers a message again before it puts it into its
	// dead-letter queue. Every connection that is lost counts as one for the messages that it had,
	// so that it should be large. 0 means 100,000.
	DeliveryLimit int
	// Exchange changes what a topic is on the broker: when it is called, x has what it is by
	// default. With Existing set, an exchange is used as it is. It is called often, by many
	// goroutines, and must always do the same. Nil changes nothing.
	Exchange func(topic string, x *Exchange)
	// Queue does the same for the queue of a group or a broadcast.
	Queue func(sub leat.Subscription, q *Queue)

	// RequestTimeout bounds a subscribe, declare or lag request where the caller's context does
	// not. 0 means 10 s.
	RequestTimeout time.Duration
	// DialTimeout bounds one connection attempt, TLS and login included. 0 means 10 s.
	DialTimeout time.Duration
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know. Nil means no log.
	Logger *slog.Logger

	public bool // Credentials are guest and guest, which are no secret
}

// Provision says what [Broker.Declare] does about exchanges and queues.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates what does not exist, and reports where something exists in another
	// form.
	ProvisionCreate Provision = iota
	// ProvisionVerify creates nothing for groups and topics. It reports what does not exist and
	// every difference that it can see.
	ProvisionVerify
	// ProvisionOff does nothing.
	ProvisionOff
)

// QueueType is a type of queues.
type QueueType uint8

// The types of queues.
const (
	// QueueQuorum is replicated where the broker is a cluster, and counts deliveries.
	QueueQuorum QueueType = iota
	// QueueClassic lives on one node and does not count deliveries.
	QueueClassic
)

const (
	defaultMaxMessageBytes = 16 << 20 // max_message_size of RabbitMQ 4
	messageOverheadBytes   = 1 << 10  // what structured mode adds to an event, except for escapes and base64
	mostBuffered           = 1 << 30
	defaultRecycleAfter    = 25 * time.Minute
)

// table lists the options that are plain values.
func (o *Options) table() options.Table {
	const (
		most    = 1 << 40
		longest = 24 * time.Hour
	)
	port, channels := "5672", 4
	if o.TLS != nil {
		port = "5671"
	}
	if o.QueueType == QueueClassic {
		channels = 1
	}
	return options.Table{
		options.Hosts(&o.Hosts, port),
		options.Text("ClientID", &o.ClientID, "leat"),
		options.Bool("AllowPlaintext", &o.AllowPlaintext),
		options.Duration("Heartbeat", &o.Heartbeat, 10*time.Second, time.Second, time.Hour),
		options.Int("Buffer", &o.Buffer, 10_000, 1, mostBuffered),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, most),
		options.Int("ConfirmWindow", &o.ConfirmWindow, 1_000, 1, 1_000_000),
		options.Int("PublishChannels", &o.PublishChannels, channels, 1, 1_000),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Second, longest),
		options.Int("MaxMessageBytes", &o.MaxMessageBytes, defaultMaxMessageBytes, 16<<10, 512<<20), // RabbitMQ's own limit for the setting
		options.Bool("Structured", &o.Structured),
		options.Enum("Unroutable", &o.Unroutable, "refuse", "drop", "keep"),
		options.Duration("RecycleAfter", &o.RecycleAfter, defaultRecycleAfter, time.Second, longest),
		options.Mapping(&o.Mapping),
		options.Text("KeyFrom", &o.KeyFrom, ""),
		options.Enum("Provision", &o.Provision, "create", "verify", "off"),
		options.Endpoint("ManagementURL", &o.ManagementURL, "http", "https"),
		options.Enum("QueueType", &o.QueueType, "quorum", "classic"),
		options.Int("DeliveryLimit", &o.DeliveryLimit, rabbit.DeliveryLimit, 1, 1<<31),
		options.Duration("RequestTimeout", &o.RequestTimeout, 10*time.Second, time.Millisecond, time.Hour),
		options.Duration("DialTimeout", &o.DialTimeout, 10*time.Second, time.Millisecond, time.Hour),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, time.Millisecond, time.Hour),
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
	if d.VHost == "" {
		d.VHost = "/"
	}
	d.public = d.Credentials == nil
	if d.Credentials == nil && (!d.External || d.ManagementURL == "") {
		d.Credentials = func(context.Context) (string, string, error) { return "guest", "guest", nil }
	}
	d.TLS = options.SecureTLS(d.TLS)
	return d
}

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate() error {
	if o.External && o.TLS == nil {
		return options.Reason("no TLS for External; set it, with the certificate to log in by")
	}
	err := cmp.Or(o.table().Check(), keyFrom(o.KeyFrom).validate(), o.validateManagement())
	if err == nil && o.TLS == nil && slices.ContainsFunc(o.Hosts, func(address string) bool { return !o.maySend(address) }) {
		err = options.Reason("a password without TLS shows it to the network; use TLS (amqps://), or set AllowPlaintext (allow_plaintext=true)")
	}
	return err
}

// maySend reports whether an address may get the password as it is. guest and guest are no secret.
func (o *Options) maySend(address string) bool {
	return o.public || o.AllowPlaintext || options.IsLocal(address)
}

// validateManagement looks at a ManagementURL that the table has checked.
func (o *Options) validateManagement() error {
	if o.ManagementURL == "" {
		return nil
	}
	scheme, host, _ := strings.Cut(o.ManagementURL, "://")
	host, _, _ = strings.Cut(host, "/")
	switch {
	case scheme != "https" && (!o.maySend(host) || o.TLS != nil && o.public && !options.IsLocal(host)):
		return options.Reason("the management URL would send the password as it is; write https://, or set AllowPlaintext " +
			"(allow_plaintext=true)")
	case o.Credentials == nil:
		return options.Reason("no Credentials for the management API; set them, since External is for the connections only, or leave out the URL")
	}
	return nil
}
