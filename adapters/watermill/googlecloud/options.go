package googlecloud

import (
	"errors"
	"log/slog"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	wm "github.com/ThreeDotsLabs/watermill"
	wmgoogle "github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/googlepubsub"
	"google.golang.org/api/option"
)

// Options are the options of New. Project is required; the zero value of everything else works.
type Options struct {
	// Project is the id of the Google Cloud project.
	Project string
	// ClientOptions are options of Google's client: credentials, an endpoint. Order by key holds
	// among publishers that use the endpoint of one region. Nil means application default
	// credentials, or the emulator that PUBSUB_EMULATOR_HOST names.
	ClientOptions []option.ClientOption
	// Codec says how events and messages become each other. Its Prefix, where it is empty, is
	// "ce-", as adapters/gcppubsub writes it. Order is kept by the ordering key where an event has
	// no key.
	Codec watermill.Codec
	// Mapping is that of [watermill.Options].
	Mapping foreign.Mapping
	// SubscriptionName returns the name of a group's subscription, of 3 to 255 bytes. Two groups
	// must not have the same. Nil means "topic_group", with a hash where that is not a name of
	// Pub/Sub or could mean another group.
	SubscriptionName func(topic, group string) string
	// Unordered creates subscriptions that do not keep the order of ordering keys: every
	// subscription has to be Unordered then. It cannot be changed later.
	Unordered bool
	// SkipInitialize creates nothing, also when subscribing: topics and subscriptions are used as
	// they are.
	SkipInitialize bool
	// DeliveryTimeout, Buffer, BufferBytes and CloseTimeout are those of [watermill.Options].
	// Google's client repeats a publish for a minute, or for half of a shorter DeliveryTimeout.
	DeliveryTimeout time.Duration
	Buffer          int
	BufferBytes     int
	CloseTimeout    time.Duration
	// Configure changes the configuration of watermill-googlecloud for publishing and for a
	// subscription, of which GenerateSubscription says how it is created. Its ProjectID, Marshaler,
	// Unmarshaler, GenerateSubscriptionName and what says whether something is created are set
	// afterwards. Nil changes nothing.
	Configure func(p *wmgoogle.PublisherConfig, s *wmgoogle.SubscriberConfig)
	// Logger gets what an operator should know, and what Watermill logs. Nil means no log.
	Logger *slog.Logger
}

const (
	// publishDelay is how long a message waits for others of its request. A publish has one
	// message, so others come only from calls at the same time. The client's own 10 ms would be
	// most of the time of a call.
	publishDelay = time.Millisecond
	// longestPublish is how long Google's client repeats a publish by default.
	longestPublish = time.Minute
	// extension is how long the client extends the deadline of a message, which is its default.
	// Then the message comes again. longestHold is less than that.
	extension   = time.Hour
	longestHold = 55 * time.Minute
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
	if d.SubscriptionName == nil {
		d.SubscriptionName = func(topic, group string) string { return googlepubsub.Name(topic, group) } // as adapters/gcppubsub
	}
	return d
}

func (o *Options) table() options.Table {
	return options.Table{
		options.Duration("DeliveryTimeout", &o.DeliveryTimeout, 2*time.Minute, time.Millisecond, 24*time.Hour),
		options.Duration("CloseTimeout", &o.CloseTimeout, 10*time.Second, time.Millisecond, time.Hour),
		options.Logger(&o.Logger),
	}
}

func (o *Options) validate() error {
	if o.Project == "" {
		return errors.New("no Project; give the id of a Google Cloud project")
	}
	return o.table().Check()
}

// configs returns the configurations of watermill-googlecloud for publishing and for a group.
func (o *Options) configs(group string) (p wmgoogle.PublisherConfig, s wmgoogle.SubscriberConfig) {
	settings := pubsub.DefaultPublishSettings
	settings.DelayThreshold, settings.Timeout = publishDelay, min(longestPublish, o.DeliveryTimeout/2)
	p = wmgoogle.PublisherConfig{PublishSettings: &settings, PublishTimeout: o.DeliveryTimeout, ClientOptions: o.ClientOptions}
	s = wmgoogle.SubscriberConfig{
		ClientOptions: o.ClientOptions, ReceiveSettings: pubsub.ReceiveSettings{MaxExtension: extension},
		GenerateSubscription: func(wmgoogle.GenerateSubscriptionParams) *pubsubpb.Subscription {
			return &pubsubpb.Subscription{EnableMessageOrdering: !o.Unordered, ExpirationPolicy: &pubsubpb.ExpirationPolicy{}}
		},
	}
	if o.Configure != nil {
		o.Configure(&p, &s)
	}
	p.ProjectID, p.Marshaler = o.Project, Marshaler{Prefix: o.Codec.Prefix}
	p.EnableMessageOrdering, p.EnableMessageOrderingAutoResumePublishOnError = true, true
	p.DoNotCheckTopicExistence, p.DoNotCreateTopicIfMissing = true, true
	s.ProjectID, s.Unmarshaler = o.Project, Marshaler{Prefix: o.Codec.Prefix}
	s.GenerateSubscriptionName = func(topic string) string { return o.SubscriptionName(topic, group) }
	s.DoNotCreateSubscriptionIfMissing, s.DoNotCreateTopicIfMissing = o.SkipInitialize, o.SkipInitialize
	s.DoNotEnforceSubscriptionAttachedToTopic = false
	return p, s
}

func (o *Options) log() wm.LoggerAdapter { return wm.NewSlogLogger(o.Logger) }
