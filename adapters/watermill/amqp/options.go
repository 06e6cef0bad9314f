package amqp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"time"

	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/rabbit"
	native "github.com/rabbitmq/amqp091-go"
)

// Options are the options of New. URL is required; the zero value of everything else works.
type Options struct {
	// URL is where the broker is: amqps://user:password@host:port/vhost, or amqp:// without TLS.
	URL string
	// TLS is for amqps:// only. Nil means the certificates that the system trusts.
	TLS *tls.Config
	// AllowPlaintext allows to send the password as it is, by amqp://, to any host. Otherwise only
	// this machine gets it so: localhost, 127.0.0.0/8 and ::1.
	AllowPlaintext bool
	// Codec says how events and messages become each other. Its Prefix, where it is empty, is
	// "ce-", as adapters/rabbitmq writes it.
	Codec watermill.Codec
	// Mapping is that of [watermill.Options].
	Mapping foreign.Mapping
	// QueueName returns the name of a group's queue, of at most 250 bytes. Two groups must not have
	// the same. Nil means "topic.group", or "topic:group" where the group has a dot.
	QueueName func(topic, group string) string
	// Unordered lets all members of a group get messages at a time, in no order: every subscription
	// has to be Unordered then. Otherwise one member gets them, while the others stand by.
	Unordered bool
	// AllowUnroutable reports an event that no queue takes as published. Otherwise it is refused
	// with [leat.CodeNotFound].
	AllowUnroutable bool
	// Channels is how many channels publishes are spread over; each waits for the confirm of a
	// message before it sends the next. 0 means 64.
	Channels int
	// NackDelay is how long a queue waits until a message that was given back is delivered again, a
	// minute at most. 0 means 100 ms.
	NackDelay time.Duration
	// SkipInitialize declares nothing, also when publishing and subscribing: exchanges and queues
	// are used as they are. They have to be what would have been declared, since what a stream
	// promises is taken from that.
	SkipInitialize bool
	// DeliveryTimeout, Buffer, BufferBytes and CloseTimeout are those of [watermill.Options]. While
	// there is no connection, a publish waits for one, for half of the DeliveryTimeout and 10 s at
	// most, and not any more when the Broker closes. Publishes that the broker has not answered
	// within half of the CloseTimeout end with the connection.
	DeliveryTimeout time.Duration
	Buffer          int
	BufferBytes     int
	CloseTimeout    time.Duration
	// Configure changes the configuration of watermill-amqp, which publishing and each group have
	// one of: exchanges, routing keys, bindings, arguments of queues. Its Marshaler, Publish (but
	// for GenerateRoutingKey) and NoRequeueOnNack are set afterwards. What is promised follows it:
	// no order without x-single-active-consumer or with a prefetch of more than 1. Nil changes
	// nothing.
	Configure func(c *wmamqp.Config)
	// Logger gets what an operator should know, and what Watermill logs. Nil means no log.
	Logger *slog.Logger
}

const (
	dialTimeout      = 10 * time.Second
	longestReconnect = time.Second
	longestNackDelay = time.Minute
	mostChannels     = 1_000
)

// withDefaults returns a copy of o with its defaults filled in. o may be nil.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.table().Fill()
	if d.Codec.Prefix == "" {
		d.Codec.Prefix = "ce-"
	}
	if d.QueueName == nil {
		d.QueueName = rabbit.QueueName
	}
	return d
}

func (o *Options) table() options.Table {
	return options.Table{
		options.Int("Channels", &o.Channels, 64, 1, mostChannels),
		options.Duration("NackDelay", &o.NackDelay, 100*time.Millisecond, 1, longestNackDelay),
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Millisecond, 24*time.Hour),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, time.Millisecond, time.Hour),
		options.Logger(&o.Logger),
	}
}

func (o *Options) validate() error {
	if o.URL == "" {
		return errors.New("no URL; write amqps://user:password@host:5671/")
	}
	return cmp.Or(o.checkURL(o.URL), o.table().Check())
}

// checkURL returns what is wrong with a URL, and does not quote it. guest and guest, which
// amqp091-go takes where there is no user, are no secret.
func (o *Options) checkURL(text string) error {
	uri, err := native.ParseURI(text)
	if err != nil {
		return errBadURL
	}
	public := uri.Username == "guest" && uri.Password == "guest"
	if uri.Scheme != "amqps" && !public && !o.AllowPlaintext && !options.IsLocal(uri.Host) {
		return errors.New("the URL would show the password to the network; write amqps://, or set AllowPlaintext")
	}
	return nil
}

// closeGrace is how long the broker may take to answer when channels and connections are closed.
// Together with the time for publishes it is less than the CloseTimeout.
func (o *Options) closeGrace() time.Duration { return o.CloseTimeout / 4 }

// config returns the configuration of watermill-amqp for a group, or for publishing, where there is
// none. d makes its connections. The error is an [*leat.Error].
func (o *Options) config(group string, d *dialer) (wmamqp.Config, error) {
	c := wmamqp.NewDurablePubSubConfig(o.URL, func(topic string) string { return o.QueueName(topic, group) })
	c.Connection.AmqpConfig = &native.Config{Properties: native.Table{"connection_name": "leat over watermill " + group}}
	if o.TLS != nil {
		c.Connection.AmqpConfig.TLSClientConfig = o.TLS.Clone() // amqp091-go sets its ServerName
	}
	c.Connection.Reconnect = wmamqp.DefaultReconnectConfig()
	c.Connection.Reconnect.BackoffMaxInterval = longestReconnect
	c.Queue.Arguments = rabbit.GroupArguments(rabbit.DeliveryLimit, !o.Unordered)
	if o.Configure != nil {
		o.Configure(&c)
	}
	if c.Connection.AmqpConfig == nil {
		c.Connection.AmqpConfig = &native.Config{}
	}
	own := *c.Connection.AmqpConfig
	own.Dial = d.around(own.Dial)
	own.Recovery = nil                          // watermill-amqp connects again; two that do would not know of each other
	own.Properties = maps.Clone(own.Properties) // amqp091-go writes to both at each connection
	own.TLSClientConfig = own.TLSClientConfig.Clone()
	c.Connection.AmqpConfig = &own
	c.Marshaler = Marshaler{}
	if c.TopologyBuilder == nil {
		c.TopologyBuilder = &wmamqp.DefaultTopologyBuilder{}
	}
	c.Publish = wmamqp.PublishConfig{GenerateRoutingKey: c.Publish.GenerateRoutingKey, Mandatory: !o.AllowUnroutable}
	c.Consume.NoRequeueOnNack = false
	c.TopologyBuilder = topology{inner: c.TopologyBuilder, skip: o.SkipInitialize}
	urlErr := o.checkURL(c.Connection.AmqpURI)
	if err := errors.Join(urlErr, c.ValidatePublisher(), c.ValidateSubscriber(), settleTLS(&c.Connection)); err != nil {
		return c, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
	}
	return c, nil
}

// settleTLS moves TLSConfig, at which watermill-amqp does not look beside an AmqpConfig, into that.
func settleTLS(c *wmamqp.ConnectionConfig) error {
	if c.TLSConfig != nil {
		if c.AmqpConfig.TLSClientConfig != nil {
			return errors.New("there are two configurations of TLS: TLSConfig, and that of AmqpConfig or Options.TLS")
		}
		c.AmqpConfig.TLSClientConfig, c.TLSConfig = c.TLSConfig.Clone(), nil // amqp091-go sets its ServerName
	}
	uri, err := native.ParseURI(c.AmqpURI)
	if err != nil {
		return errBadURL
	}
	if c.AmqpConfig.TLSClientConfig != nil && uri.Scheme != "amqps" {
		return errors.New("there is a configuration of TLS, and the URL is without it; write amqps://")
	}
	return nil
}

// errBadURL does not name the URL, which may have a password.
var errBadURL = errors.New("the URL is none of AMQP; write amqps://user:password@host:5671/")
