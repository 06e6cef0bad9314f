package awssnssqs

import (
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
)

// Options are the options of a [Broker]. The zero value works where the SDK finds a region and
// credentials.
type Options struct {
	// Mode says which services are used. The zero value is SNS with SQS.
	Mode Mode
	// Standard makes topics, and in [ModeSQS] queues, that are not FIFO: they keep no order, and
	// only subscriptions that are Unordered can be held. Queues of Unordered groups behind an SNS
	// topic are standard in any case.
	Standard bool
	// FairQueues passes the key as the message group to standard topics and queues too, where it
	// keeps one key with many events from delaying the others.
	FairQueues bool
	// Topics has the ARNs of SNS topics, or in [ModeSQS] the URLs of queues, that exist under names
	// of their own, by topic. The kind of such a topic follows from its name.
	Topics map[string]string
	// Queues has the URLs of such queues, by topic and group.
	Queues map[Group]string

	// Region is the AWS region. "" means that of the SDK's configuration: AWS_REGION, or the shared
	// configuration files.
	Region string
	// Endpoint is the URL of SNS and SQS, for servers that are not AWS. "" means that of the SDK's
	// configuration, such as AWS_ENDPOINT_URL, and else AWS.
	Endpoint string
	// AllowPlaintext allows an Endpoint with http on any host. Otherwise only this machine may have
	// one: localhost, 127.0.0.0/8 and ::1.
	AllowPlaintext bool
	// Config is the SDK's configuration, for credentials and HTTP clients of your own. Its Retryer
	// is not used. An HTTPClient that is not an awshttp.BuildableClient connects by its own rule,
	// which may be more often than once a second in an outage. Nil means config.LoadDefaultConfig,
	// with an HTTP client of the adapter.
	Config *aws.Config

	// Buffer is how many events may be published and not yet confirmed; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// 0 means 64 MiB.
	BufferBytes int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. At most 4 minutes, because FIFO topics and queues recognize a repeated
	// request for 5. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// MaxMessageBytes is the largest message, with its attributes, and the largest request. Events
	// that take more when they are encoded are refused. More than 256 KiB needs an SNS topic whose
	// MaximumMessageSize is as large, as those that Leat creates. 0 means 256 KiB with SNS, and 1
	// MiB in [ModeSQS].
	MaxMessageBytes int
	// Lanes is how many requests to publish run at a time, at most. Events with the same key share
	// a lane. 0 means 16.
	Lanes int

	// Wait is how long a request for messages waits in SQS, in whole seconds. Close waits for the
	// requests that run. At most half of Visibility. 0 means 5 s.
	Wait time.Duration
	// Visibility is for how long SQS lends a message, in whole seconds. Streams extend what they
	// hold, so that handlers may take longer. After a consumer has died, its messages come again
	// when this time is over. 0 means 30 s.
	Visibility time.Duration
	// Pollers is how many requests for messages a stream has at a time, at most. 0 means 8.
	Pollers int
	// Mapping makes events of messages that are not CloudEvents: [foreign.Plain],
	// [foreign.Structured], one of your own, or several by [foreign.First]. Nil means none: such
	// messages are malformed.
	Mapping foreign.Mapping

	// Provision says what Declare and Subscribe do about topics, queues and subscriptions. The zero
	// value creates those that are missing.
	Provision Provision
	// KMSKey is the id, ARN or alias of the KMS key that encrypts topics and queues that Leat
	// creates. "" means that SQS encrypts with a key of its own.
	KMSKey string
	// Retention is how long queues that Leat creates keep messages, in whole seconds, at most 14
	// days. 0 means 14 days.
	Retention time.Duration

	// RequestTimeout bounds a request, the wait of a request for messages not counted. 0 means 10
	// s.
	RequestTimeout time.Duration
	// DialTimeout bounds one attempt to connect. 0 means 5 s.
	DialTimeout time.Duration
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know. Nil means no log.
	Logger *slog.Logger
}

// Mode says which services a [Broker] uses.
type Mode uint8

// The modes.
const (
	// ModeSNS publishes to SNS topics, and a group is an SQS queue that is subscribed to one.
	ModeSNS Mode = iota
	// ModeSQS publishes to SQS queues. A topic is a queue, which one group reads.
	ModeSQS
	// ModePublish publishes to SNS topics, and has no groups.
	ModePublish
)

// Provision says what is done about topics, queues and subscriptions.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates what does not exist, and checks what does.
	ProvisionCreate Provision = iota
	// ProvisionVerify creates nothing, and reports every difference that it finds.
	ProvisionVerify
	// ProvisionOff lets Declare do nothing. Subscribe needs what it subscribes to in any case.
	ProvisionOff
)

// Group names the queue of a group, see [Options].Queues.
type Group struct{ Topic, Group string }

const (
	longestVisibility = time.Hour
	longestDelivery   = 4 * time.Minute // for which FIFO recognizes a repeated request, with some time to spare
	snsMessageBytes   = 256 << 10
	sqsMessageBytes   = 1 << 20
	mostEntries       = 10 // in a request
	overheadBytes     = 4 << 10
)

// table lists the options that are plain values.
func (o *Options) table() options.Table {
	const least, most, second = time.Millisecond, time.Hour, time.Second
	largest := snsMessageBytes
	if o.Mode == ModeSQS {
		largest = sqsMessageBytes
	}
	return options.Table{
		options.Enum("Mode", &o.Mode, "sns", "sqs", "publish"),
		options.Bool("Standard", &o.Standard),
		options.Bool("FairQueues", &o.FairQueues),
		options.Text("Region", &o.Region, ""),
		options.Endpoint("Endpoint", &o.Endpoint, "https", "http"),
		options.Bool("AllowPlaintext", &o.AllowPlaintext),
		options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, 1<<40),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, second, longestDelivery),
		options.Int("MaxMessageBytes", &o.MaxMessageBytes, largest, 16<<10, sqsMessageBytes),
		options.Int("Lanes", &o.Lanes, 16, 1, 1000),
		options.Duration("Wait", &o.Wait, 5*second, second, 20*second),
		options.Duration("Visibility", &o.Visibility, 30*second, second, longestVisibility),
		options.Int("Pollers", &o.Pollers, 8, 1, 1000),
		options.Mapping(&o.Mapping),
		options.Enum("Provision", &o.Provision, "create", "verify", "off"),
		options.Text("KMSKey", &o.KMSKey, ""),
		options.Duration("Retention", &o.Retention, 14*24*time.Hour, time.Minute, 14*24*time.Hour),
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
	return d
}

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate() error {
	if err := o.table().Check(); err != nil {
		return err
	}
	for _, d := range []time.Duration{o.Wait, o.Visibility, o.Retention} {
		if d%time.Second != 0 {
			return options.Reason("Options.Wait, Visibility and Retention (wait, visibility, retention) are whole seconds in SQS; " +
				"write them so")
		}
	}
	if 2*o.Wait > o.Visibility { // a lease counts from the beginning of the request, which may wait that long
		return options.Reason("Options.Wait (wait) is more than half of Visibility (visibility), so that leases would be over soon " +
			"after their messages have come, or before; wait less, or lend for longer")
	}
	if host, plain := plaintext(o.Endpoint); plain && !o.AllowPlaintext && !options.IsLocal(host) {
		return options.Reason("an endpoint with http shows events and session tokens to the network; use https, " +
			"or set AllowPlaintext (allow_plaintext=true)")
	}
	return nil
}

// mostEventBytes is the size of the largest event. JSON may double an event, since a character that
// is escaped takes two.
func (o *Options) mostEventBytes() int { return min((o.MaxMessageBytes-overheadBytes)/2, 1<<20) }
