package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Options are the options of a [Broker]. Hosts is required; the zero value of everything else
// works.
type Options struct {
	// Hosts are addresses to begin with, each "host:port"; without a port it is 9092. The others of
	// the cluster are found from there.
	Hosts []string
	// ClientID is what the brokers' logs and quotas call this client. "" means "leat".
	ClientID string
	// TLS turns TLS on. Its ServerName, where empty, is the host that is dialed; TLS 1.2 is the
	// least. Nil means no TLS.
	TLS *tls.Config
	// SASL is how the client authenticates. Nil means not at all.
	SASL *SASL
	// AllowPlaintext allows to send a password or token as it is, by PLAIN and OAUTHBEARER without
	// TLS, to any broker. Otherwise only brokers on this machine get it so: localhost, 127.0.0.0/8
	// and ::1, which goes for Hosts and for what the cluster advertises.
	AllowPlaintext bool

	// Compression is "none", "gzip", "snappy", "lz4" or "zstd". "" means "lz4".
	Compression string
	// Linger is how long a publish waits for others to fill a batch. 0 means not at all: batches
	// form while earlier ones are on their way.
	Linger time.Duration
	// Buffer is how many events may be published and not yet answered; further publishes wait. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes; a larger event is still taken when there is no other.
	// In structured mode, publishes that wait hold the text of their own events besides. 0 means 64
	// MiB.
	BufferBytes int
	// DeliveryTimeout is how long an event that was taken may be without an answer before its
	// outcome is unknown. 0 means 2 minutes.
	DeliveryTimeout time.Duration
	// MaxMessageBytes is the largest record batch, before compression. It must not exceed the
	// topic's max.message.bytes. The largest event is 66 KiB smaller, so that there is room for its
	// key, which is also that of the record; with NoRecordKey 2 KiB. Below 130 KiB, it is half. 0
	// means 1,048,588, Kafka's default.
	MaxMessageBytes int
	// Structured publishes events in structured mode, as JSON in the value, as far as they fit into
	// MaxMessageBytes like that. Both modes are always read.
	Structured bool
	// NoRecordKey leaves the record's key empty, so that an event's Key does not choose the
	// partition, and order by key is lost.
	NoRecordKey bool

	// WriteHeaders returns headers for the record of an event, besides those of the event:
	// [github.com/leatgo/leat/schema.Enforcer.WriteHeaders], for example. It is called once for
	// each event that is published in binary mode, where the data is the record's value. Several
	// goroutines call it at once, and publishing waits for it. The headers may have 512 bytes
	// together, 8 for each and those of its name and value, and no name of the CloudEvents binding
	// or of a trace context: not content-type, traceparent, tracestate or what begins with ce_, in
	// any case. They must not change afterwards. An error refuses the event, with its code;
	// one without a code is [leat.CodeInvalid]. Nil means none.
	WriteHeaders func(e leat.Event) ([]leat.Header, error)
	// ReadHeaders returns an event with what the headers of its record say of it, such as
	// [github.com/leatgo/leat/schema.Enforcer.ReadHeaders]. It gets every event, those of Mapping
	// included, and all headers in their order, which it must not keep. Each stream calls it from
	// one goroutine. An error, a panic or an event that is not valid makes the record malformed.
	// Nil changes nothing.
	ReadHeaders func(e leat.Event, headers []leat.Header) (leat.Event, error)

	// Start is where a new group begins. The zero value is the earliest record, so that nothing is
	// missed.
	Start Start
	// Protocol is how groups share partitions.
	Protocol Protocol
	// CommitInterval is how often finished offsets are committed while events flow. 0 means 1 s.
	CommitInterval time.Duration
	// SessionTimeout is after how long without a heartbeat the group gives a member's partitions to
	// others. The member's leases end by its own clock, at 88 % of it. With [ProtocolConsumer] the
	// broker decides instead, and the member counts at least 45 s. 0 means 45 s.
	SessionTimeout time.Duration
	// HeartbeatInterval is how often a member reports, and finds out about rebalances. It may be
	// three quarters of SessionTimeout at most, since a lease lasts 88 % of that after a heartbeat.
	// 0 means 3 s, or a third of SessionTimeout if that is less.
	HeartbeatInterval time.Duration
	// RebalanceTimeout is how long members may take to give up partitions; running handlers get
	// half of it to finish. 0 means 1 minute.
	RebalanceTimeout time.Duration
	// InstanceID makes the member of a group static: it keeps its partitions over a restart that is
	// shorter than SessionTimeout, and does not leave when it closes. Each process needs its own.
	// The second stream of a group in one Broker is InstanceID-2, and so on.
	InstanceID string
	// Rack is where this process runs, for brokers that let consumers read from the nearest replica
	// (KIP-392).
	Rack string
	// GapLimit is how many events of a partition may have been delivered since the oldest
	// unfinished one while later ones finish. At the limit that partition pauses, the others go on.
	// It bounds what the stream remembers of a partition, and what is handled again where the
	// group's commits are lost. 0 means 100,000.
	GapLimit int
	// Mapping makes events of records that are not CloudEvents, whatever the reason is:
	// [foreign.Plain], [foreign.Structured], one of your own, or several by [foreign.First]. Nil
	// means none: such records are malformed.
	Mapping foreign.Mapping

	// Provision says what Declare does about topics. The zero value creates those that are missing.
	Provision Provision
	// Partitions is how many partitions a topic is created with, and verified to have. 0 means the
	// cluster's default, unverified.
	Partitions int
	// ReplicationFactor is the same for replicas. 0 means the cluster's default, unverified.
	ReplicationFactor int
	// TopicConfig is the same for the topic's configuration, such as "retention.ms": "604800000".
	TopicConfig map[string]string

	// RequestTimeout bounds a subscribe, declare or lag request where the caller's context does
	// not. 0 means 10 s.
	RequestTimeout time.Duration
	// DialTimeout bounds one connection attempt, TLS included. 0 means 10 s.
	DialTimeout time.Duration
	// CloseTimeout bounds Close. 0 means 10 s.
	CloseTimeout time.Duration
	// Logger gets what an operator should know and, at debug level, what the client reports. Nil
	// means no log.
	Logger *slog.Logger
	// Client are further options of the native client, which win over those that follow from the
	// above. A hook must not keep a record that is published beyond the client's answer for it,
	// because it is used again. It may change the record, its bytes included: with hooks that see
	// records, Publish copies them from the events. A partitioner must not.
	Client []kgo.Opt
}

// SASL says how a client authenticates. What it holds may change while the client runs: the
// functions are called for every new connection.
type SASL struct {
	// Mechanism is "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" or "OAUTHBEARER".
	Mechanism string
	// Credentials returns user and password for PLAIN and SCRAM.
	Credentials func(ctx context.Context) (user, password string, err error)
	// Token returns the token for OAUTHBEARER.
	Token func(ctx context.Context) (string, error)
}

// The mechanisms of [SASL].
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

// Start says where a group begins that has no committed offset.
type Start uint8

// The starts of a group.
const (
	// StartEarliest begins with the oldest record that the topic keeps.
	StartEarliest Start = iota
	// StartLatest begins with the first record after Declare, or after Subscribe where that comes
	// first. A group that has lost its offsets, which Kafka deletes when nobody uses the group,
	// begins there again: its health and the log say so.
	StartLatest
)

// Protocol is a group protocol.
type Protocol uint8

// The protocols of a group.
const (
	// ProtocolClassic is the protocol that every Kafka has, with cooperative sticky assignment.
	ProtocolClassic Protocol = iota
	// ProtocolConsumer is that of KIP-848, where the broker assigns partitions. It needs Kafka 4.0,
	// better 4.3, and all members must use it.
	ProtocolConsumer
)

// Provision says what [Broker.Declare] does about topics.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates topics that do not exist, and leaves others alone.
	ProvisionCreate Provision = iota
	// ProvisionVerify reports topics that do not exist, and every difference from Partitions,
	// ReplicationFactor and TopicConfig.
	ProvisionVerify
	// ProvisionOff does nothing.
	ProvisionOff
)

const (
	defaultMaxMessageBytes = 1_048_588 // Kafka's message.max.bytes
	recordOverheadBytes    = 2 << 10   // what a record has beside names and values: prefixes, lengths, a trace context, the batch's header
	mostKeyBytes           = 64 << 10  // of an event: Leat reads no longer value of an attribute
	mostBuffered           = 1 << 30
)

// table lists the options that are plain values.
func (o *Options) table() options.Table {
	const (
		most    = 1 << 40
		longest = 24 * time.Hour
	)
	return options.Table{
		options.Hosts(&o.Hosts, "9092"),
		options.Text("ClientID", &o.ClientID, "leat"),
		options.Bool("AllowPlaintext", &o.AllowPlaintext),
		options.OneOf("Compression", &o.Compression, "lz4", "none", "gzip", "snappy", "lz4", "zstd"),
		options.Duration("Linger", &o.Linger, 0, 0, time.Minute),
		options.Int("Buffer", &o.Buffer, 10_000, 1, mostBuffered),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, most),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Second, longest),
		options.Int("MaxMessageBytes", &o.MaxMessageBytes, defaultMaxMessageBytes, 16<<10, 1<<30),
		options.Bool("Structured", &o.Structured),
		options.Bool("NoRecordKey", &o.NoRecordKey),
		options.Enum("Start", &o.Start, "earliest", "latest"),
		options.Enum("Protocol", &o.Protocol, "classic", "consumer"),
		options.Duration("CommitInterval", &o.CommitInterval, time.Second, time.Millisecond, time.Hour),
		options.Duration("SessionTimeout", &o.SessionTimeout, 45*time.Second, 100*time.Millisecond, longest),
		options.Duration("HeartbeatInterval", &o.HeartbeatInterval, 0, time.Millisecond, longest),
		options.Duration("RebalanceTimeout", &o.RebalanceTimeout, time.Minute, 100*time.Millisecond, longest),
		options.Text("InstanceID", &o.InstanceID, ""),
		options.Text("Rack", &o.Rack, ""),
		options.Int("GapLimit", &o.GapLimit, 100_000, 1, 100_000_000),
		options.Mapping(&o.Mapping),
		options.Enum("Provision", &o.Provision, "create", "verify", "off"),
		options.Int("Partitions", &o.Partitions, 0, 1, 1_000_000),
		options.Int("ReplicationFactor", &o.ReplicationFactor, 0, 1, 1_000),
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
	if d.HeartbeatInterval == 0 {
		d.HeartbeatInterval = min(3*time.Second, d.SessionTimeout/3)
	}
	d.TLS = options.SecureTLS(d.TLS)
	return d
}

// validate returns the first thing that is wrong with options whose defaults are filled in.
func (o *Options) validate() error {
	if err := o.table().Check(); err != nil {
		return err
	}
	if o.HeartbeatInterval > o.SessionTimeout*3/4 {
		return options.Reason("HeartbeatInterval is out of its range; it must not exceed three quarters of SessionTimeout" +
			" (45s unless it is set), and a third of it is usual")
	}
	return cmp.Or(o.SASL.validate(), o.validatePlaintext())
}

// validatePlaintext returns an error where Hosts would get a secret as it is. What the cluster
// advertises is looked at when it is dialed.
func (o *Options) validatePlaintext() error {
	for _, address := range o.Hosts {
		if !o.maySend(address) {
			return options.Reason("SASL mechanism " + o.SASL.Mechanism + " without TLS shows the secret to the network; use TLS (tls=true, or" +
				" Options.TLS), or set AllowPlaintext (allow_plaintext=true)")
		}
	}
	return nil
}

// maySend reports whether a broker may get the credentials in the way that the options say.
func (o *Options) maySend(address string) bool {
	return o.SASL == nil || !o.SASL.shows() || o.TLS != nil || o.AllowPlaintext || options.IsLocal(address)
}

// mostEventBytes is the size of the largest event. Its key takes its place twice.
func (o *Options) mostEventBytes() int {
	most := o.MaxMessageBytes - recordOverheadBytes
	if o.NoRecordKey {
		return most
	}
	return max(most-mostKeyBytes, most/2)
}
