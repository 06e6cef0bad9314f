package kafka

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	wm "github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapters/watermill"
)

const (
	// longestHold is less than sarama's Rebalance.Timeout of a minute, after which a member that
	// still handles a message loses its partitions without being told.
	longestHold = 45 * time.Second
	// recordBytes is what a record has beside the event: names and lengths of 80 headers, as sarama
	// counts them, and a trace context.
	recordBytes = 3 << 10
	// mostValueBytes is the longest value of an attribute. The id and the key are in a record
	// twice.
	mostValueBytes = 64 << 10
	leatEventBytes = 1 << 20
)

// maxEventBytes is the largest event that fits into what sarama takes, whatever its bytes are. JSON
// may double it.
func (o *Options) maxEventBytes() int {
	most := o.config().Producer.MaxMessageBytes - recordBytes
	if o.Codec.Structured { // and the key is metadata besides
		most = max((most-3*mostValueBytes)/2, most/5)
	} else {
		most = max(most-2*mostValueBytes, most/3)
	}
	return max(1, min(most, leatEventBytes))
}

// New returns a [watermill.Broker] over watermill-kafka. It connects. The error is an
// [*leat.Error]: [leat.CodeInvalid] for wrong options, [leat.CodeUnavailable] when the cluster
// cannot be reached.
func New(o *Options) (*watermill.Broker, error) {
	var full Options
	if o != nil {
		full = *o
	}
	full.table().Fill()
	if err := full.table().Check(); err != nil {
		return nil, options.Invalid(err)
	}
	pub, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
		Brokers: full.Hosts, Marshaler: Marshaler{Prefix: full.Codec.Prefix}, OverwriteSaramaConfig: full.config(),
	}, wm.NewSlogLogger(full.Logger))
	if err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeUnavailable, Err: err}
	}
	return watermill.New(pub, nil, &watermill.Options{
		Codec: full.Codec, NewSubscriber: full.subscriber, Order: leat.OrderPerGroup, Durable: true, History: true, LongestHold: longestHold,
		MaxEventBytes: full.maxEventBytes(), Refused: refused, Position: position, Key: recordKey, Mapping: full.Mapping,
		SkipInitialize: full.SkipInitialize, Logger: full.Logger,
		DeliveryTimeout: full.DeliveryTimeout, Buffer: full.Buffer, BufferBytes: full.BufferBytes, CloseTimeout: full.CloseTimeout,
	})
}

// config returns the configuration of sarama.
func (o *Options) config() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "leat"
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // what sarama asks for with Idempotent, so that retries keep the order
	c.Producer.Retry.Max = 10
	c.Producer.Return.Successes = true
	c.Producer.Compression = sarama.CompressionLZ4
	c.Producer.Partitioner = sarama.NewMurmur2Partitioner
	c.Consumer.Return.Errors = true // watermill-kafka reads them
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	if o.Configure != nil {
		o.Configure(c)
	}
	return c
}

// subscriber returns the Subscriber of a group, whose subscriptions are members of that consumer
// group.
func (o *Options) subscriber(group string) (message.Subscriber, error) {
	topic := &sarama.TopicDetail{NumPartitions: -1, ReplicationFactor: -1}
	if o.Partitions > 0 {
		topic.NumPartitions = o.Partitions
	}
	if o.ReplicationFactor > 0 {
		topic.ReplicationFactor = o.ReplicationFactor
	}
	return wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: o.Hosts, Unmarshaler: Marshaler{}, OverwriteSaramaConfig: o.config(), ConsumerGroup: group,
		NackResendSleep: o.NackDelay, InitializeTopicDetails: topic,
	}, wm.NewSlogLogger(o.Logger))
}

// refused knows the errors of sarama after which the record is certainly not stored: those that it
// finds before it sends.
func refused(err error) leat.Code {
	switch {
	case errors.Is(err, sarama.ErrMessageSizeTooLarge):
		return leat.CodeTooLarge
	case errors.Is(err, sarama.ErrInvalidPartition), errors.Is(err, sarama.ErrInvalidTopic):
		return leat.CodeInvalid
	}
	if _, ok := errors.AsType[sarama.ConfigurationError](err); ok { // a record that is larger than sarama's own limit, among others
		return leat.CodeInvalid
	}
	return 0
}

func position(m *message.Message) leat.Position {
	partition, _ := wmkafka.MessagePartitionFromCtx(m.Context())
	offset, _ := wmkafka.MessagePartitionOffsetFromCtx(m.Context())
	return leat.Position{Partition: partition, Offset: offset}
}

// recordKey is the key of a record, whatever bytes it has.
func recordKey(m *message.Message) string {
	key, _ := wmkafka.MessageKeyFromCtx(m.Context())
	return string(key)
}

// Marshaler turns messages into records and records into messages as watermill-kafka's
// DefaultMarshaler does, so that services with either understand each other, and besides: the
// attribute partitionkey is the record's key, and no key is none instead of an empty one; no record
// is an error; of headers that are there twice, the later ones are kept as "name (2)".
type Marshaler struct {
	// Prefix is that of the Codec. "" means "ce_".
	Prefix string
}

var _ wmkafka.MarshalerUnmarshaler = Marshaler{}

// Marshal returns the record of a message. The error says that the metadata has the name that
// watermill-kafka reserves for the UUID.
func (r Marshaler) Marshal(topic string, m *message.Message) (*sarama.ProducerMessage, error) {
	record, err := wmkafka.DefaultMarshaler{}.Marshal(topic, m)
	if err != nil {
		return nil, err
	}
	if key := m.Metadata[cmp.Or(r.Prefix, "ce_")+"partitionkey"]; key != "" {
		record.Key = sarama.StringEncoder(key)
	}
	return record, nil
}

// Unmarshal returns the message of a record. The error is always nil: one would stop the partition
// for ever.
func (Marshaler) Unmarshal(record *sarama.ConsumerMessage) (*message.Message, error) {
	m := message.NewMessage("", record.Value)
	for _, h := range record.Headers {
		name := string(h.Key)
		if name == wmkafka.UUIDHeaderKey && m.UUID == "" {
			m.UUID = string(h.Value)
			continue
		}
		free := name
		for n := 2; ; n++ {
			if _, taken := m.Metadata[free]; !taken {
				break
			}
			free = name + " (" + strconv.Itoa(n) + ")"
		}
		m.Metadata[free] = string(h.Value)
	}
	return m, nil
}
