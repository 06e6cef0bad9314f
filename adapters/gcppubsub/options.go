package gcppubsub

import (
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
	"google.golang.org/api/option"
)

// emulatorHost is the variable that names an emulator, as host:port.
const emulatorHost = "PUBSUB_EMULATOR_HOST"

// Options are the options of a [Broker]. Project is required.
type Options struct {
	// Project is the id of the Google Cloud project.
	Project string
	// Topics has the names of topics that exist under names of their own, by topic, such as
	// "orders-v2" or "projects/other/topics/orders".
	Topics map[string]string
	// Subscriptions has the names of such subscriptions, by topic and group.
	Subscriptions map[Group]string

	// Endpoint is the URL of Pub/Sub, such as "https://europe-west1-pubsub.googleapis.com". Order
	// by key holds among publishers that use the same region: give all of them the endpoint of one.
	// "" means the emulator that PUBSUB_EMULATOR_HOST names, and else the global endpoint. With
	// http nothing is encrypted, and no credentials are sent.
	Endpoint string
	// AllowPlaintext allows an Endpoint with http, or an emulator, on any host. Otherwise only this
	// machine may have one: localhost, 127.0.0.0/8 and ::1.
	AllowPlaintext bool
	// ClientOptions are options of the Google client, such as credentials of your own. The broker
	// makes its connections by itself: a number of connections and a dialer have no effect, and a
	// connection is refused. Nil means the application default credentials.
	ClientOptions []option.ClientOption

	// Buffer is how many events may be published and not yet confirmed; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// 0 means 64 MiB.
	BufferBytes int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// Requests is how many requests to publish run at a time, at most 100, since Google's servers
	// take about as many on a connection. Each has events of one key only. 0 means 64.
	Requests int
	// Structured writes events in structured mode, as JSON.
	Structured bool

	// AckDeadline is for how long Pub/Sub lends a message, in whole seconds from 10 s to 10
	// minutes. Streams extend what they hold, so that handlers may take longer. After a consumer
	// has died, its messages come again when this time is over. 0 means 30 s.
	AckDeadline time.Duration
	// Pulls is how many streaming pulls a stream of an Unordered subscription has, at most. A
	// stream that keeps order has one. 0 means 4.
	Pulls int
	// Mapping makes events of messages that are not CloudEvents: [foreign.Plain],
	// [foreign.Structured], one of your own, or several by [foreign.First]. Nil means none: such
	// messages are malformed.
	Mapping foreign.Mapping

	// Provision says what Declare and Subscribe do about topics and subscriptions. The zero value
	// creates those that are missing. The subscription of a Broadcast keeps messages for an hour
	// and has the Filter, and nothing else of the options below.
	Provision Provision
	// Retention is how long subscriptions that Leat creates keep messages, in whole seconds from 10
	// minutes to 31 days. 0 means 7 days.
	Retention time.Duration
	// TopicRetention is how long topics that Leat creates keep messages, also acknowledged ones, so
	// that new subscriptions can be sought back. 0 means that they keep none.
	TopicRetention time.Duration
	// RetainAcked lets subscriptions that Leat creates keep acknowledged messages for the
	// Retention, so that [Broker.Replay] brings them again.
	RetainAcked bool
	// ExactlyOnce lets subscriptions that Leat creates have exactly-once delivery.
	ExactlyOnce bool
	// Filter is the filter of subscriptions that Leat creates, such as
	// `attributes."ce-type" = "order.created"`. An attribute of more than 1,024 bytes is in the
	// data only, where no filter sees it. The group [leat.ReplayGroup] of a poison queue has no
	// filter. "" means none.
	Filter string
	// DeadLetterTopic is the name of an existing topic to which subscriptions that Leat creates
	// forward messages after DeadLetterAttempts deliveries. Pub/Sub counts every delivery that is
	// given back or lapses, and does not keep order, so that groups have to be Unordered. "" means
	// none, and Leat's poison queue.
	DeadLetterTopic string
	// DeadLetterAttempts is how many that are, from 5 to 100. It needs a DeadLetterTopic. 0 means
	// 100.
	DeadLetterAttempts int
	// Regions are the regions in which topics that Leat creates may store messages, such as
	// "europe-west1". In a URL they are behind commas. Empty means that the project decides.
	Regions []string

	// RequestTimeout bounds a request. 0 means 10 s.
	RequestTimeout time.Duration
	// DialTimeout bounds one attempt to connect. 0 means 5 s.
	DialTimeout time.Duration
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know. Nil means no log.
	Logger *slog.Logger
}

// Provision says what is done about topics and subscriptions.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates what does not exist, and checks what does.
	ProvisionCreate Provision = iota
	// ProvisionVerify creates nothing, and reports every difference that it finds.
	ProvisionVerify
	// ProvisionOff lets Declare do nothing. Subscribe needs what it subscribes to in any case. The
	// options of topics and subscriptions that Leat creates have no effect then, but for a
	// Broadcast.
	ProvisionOff
)

// Group names the subscription of a group, see [Options].Subscriptions.
type Group struct{ Topic, Group string }

const (
	day          = 24 * time.Hour
	longestKept  = 31 * day
	shortestKept = 10 * time.Minute
	mostAttempts = 100
)

// table lists the options that are plain values.
func (o *Options) table() options.Table {
	const least, most, second = time.Millisecond, time.Hour, time.Second
	return options.Table{
		options.Endpoint("Endpoint", &o.Endpoint, "https", "http"),
		options.Bool("AllowPlaintext", &o.AllowPlaintext),
		options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, 1<<40),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, second, most),
		options.Int("Requests", &o.Requests, 64, 1, 100),
		options.Bool("Structured", &o.Structured),
		options.Duration("AckDeadline", &o.AckDeadline, 30*second, 10*second, 10*time.Minute),
		options.Int("Pulls", &o.Pulls, 4, 1, 100),
		options.Mapping(&o.Mapping),
		options.Enum("Provision", &o.Provision, "create", "verify", "off"),
		options.Duration("Retention", &o.Retention, 7*day, shortestKept, longestKept),
		options.Duration("TopicRetention", &o.TopicRetention, 0, shortestKept, longestKept),
		options.Bool("RetainAcked", &o.RetainAcked),
		options.Bool("ExactlyOnce", &o.ExactlyOnce),
		options.Text("Filter", &o.Filter, ""),
		options.Text("DeadLetterTopic", &o.DeadLetterTopic, ""),
		options.Int("DeadLetterAttempts", &o.DeadLetterAttempts, 0, 5, mostAttempts),
		options.Duration("RequestTimeout", &o.RequestTimeout, 10*second, least, most),
		options.Duration("DialTimeout", &o.DialTimeout, 5*second, least, most),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*second, least, most),
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
	if host := os.Getenv(emulatorHost); d.Endpoint == "" && host != "" {
		d.Endpoint = plainScheme + strings.TrimPrefix(host, plainScheme)
	}
	return d
}

const (
	plainScheme = "http://"
	tlsScheme   = "https://"
)

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate() error {
	if o.Project == "" || strings.ContainsAny(o.Project, "/ ") {
		return options.Reason("no project; set Options.Project to the id of a Google Cloud project (gcppubsub://project)")
	}
	if err := o.table().Check(); err != nil {
		return err
	}
	for _, d := range []time.Duration{o.AckDeadline, o.Retention, o.TopicRetention} {
		if d%time.Second != 0 {
			return options.Reason("Options.AckDeadline, Retention and TopicRetention (ack_deadline, retention, topic_retention) are " +
				"whole seconds in Pub/Sub; write them so")
		}
	}
	switch {
	case o.DeadLetterTopic == "" && o.DeadLetterAttempts != 0:
		return options.Reason("Options.DeadLetterAttempts (dead_letter_attempts) needs a DeadLetterTopic (dead_letter_topic)")
	case slices.Contains(o.Regions, ""):
		return options.Reason("a name in Options.Regions (regions) is empty")
	case strings.Contains(o.address(), "/"):
		return options.Reason("Options.Endpoint (endpoint), or " + emulatorHost + ", has more than a host and a port; leave the rest out")
	}
	if host, plain := o.plaintext(); plain && !o.AllowPlaintext && !options.IsLocal(host) {
		return options.Reason("an endpoint with http, or an emulator on another machine, shows events to the network; use https, " +
			"or set AllowPlaintext (allow_plaintext=true)")
	}
	return nil
}

// plaintext returns the host of the endpoint, and whether it is one without TLS.
func (o *Options) plaintext() (host string, plain bool) {
	return strings.CutPrefix(o.Endpoint, plainScheme)
}

// address returns where the endpoint is, as host:port, or "" for the default.
func (o *Options) address() string {
	if host, plain := o.plaintext(); plain {
		return withPort(host, "80")
	}
	if o.Endpoint == "" {
		return ""
	}
	return withPort(strings.TrimPrefix(o.Endpoint, tlsScheme), "443")
}

func withPort(host, port string) string {
	host = strings.TrimSuffix(host, "/")
	if strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return host
	}
	return host + ":" + port
}
