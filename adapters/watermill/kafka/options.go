package kafka

import (
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/adapters/watermill"
	"github.com/leatgo/leat/foreign"
)

// Options are the options of New. Hosts is required; the zero value of everything else works.
type Options struct {
	// Hosts are addresses to begin with, each "host:port"; without a port it is 9092.
	Hosts []string
	// Codec says how events and messages become each other. Order is kept by the record's key where
	// an event has none.
	Codec watermill.Codec
	// Mapping is that of [watermill.Options].
	Mapping foreign.Mapping
	// Partitions and ReplicationFactor are what Declare creates a topic with. 0 means the cluster's
	// default.
	Partitions        int32
	ReplicationFactor int16
	// NackDelay is how long a partition waits until a message that was given back is delivered
	// again. 0 means 100 ms.
	NackDelay time.Duration
	// SkipInitialize makes Declare do nothing.
	SkipInitialize bool
	// DeliveryTimeout, Buffer, BufferBytes and CloseTimeout are those of [watermill.Options].
	DeliveryTimeout time.Duration
	Buffer          int
	BufferBytes     int
	CloseTimeout    time.Duration
	// Configure changes the configuration of sarama, which publishing and each group have one of:
	// TLS, SASL, timeouts. Nil changes nothing.
	Configure func(c *sarama.Config)
	// Logger gets what an operator should know, and what Watermill logs. Nil means no log.
	Logger *slog.Logger
}

func (o *Options) table() options.Table {
	return options.Table{
		options.Hosts(&o.Hosts, "9092"),
		options.Int("Partitions", &o.Partitions, 0, 1, 1_000_000),
		options.Int("ReplicationFactor", &o.ReplicationFactor, 0, 1, 1_000),
		options.Duration("NackDelay", &o.NackDelay, 0, 1, time.Minute),
		options.Logger(&o.Logger),
	}
}
