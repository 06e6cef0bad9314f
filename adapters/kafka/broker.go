package kafka

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Broker publishes to and consumes from a Kafka cluster. It implements [leat.Broker],
// [leat.Declarer] and [leat.HealthReporter], and is safe for concurrent use. It has one client for
// publishing and requests, and another for each stream.
type Broker struct {
	o         Options
	dialer    *dialer
	conns     *connections
	outage    *outage // of the brokers, whatever they are asked for
	publisher *publisher
	client    *kgo.Client
	admin     *kadm.Client
	cancel    context.CancelFunc      // ends the client's context
	life      lifecycle.Life[*Stream] // its tasks are what streams leave behind when the ctx of their Close ends

	mu      sync.Mutex
	members map[string]map[int]bool // by group: which numbers of static members are taken
	known   sync.Map                // topics that were created by this Broker
	differ  sync.Map                // topics of which the log says that they have other partitions than the options say
	begun   sync.Map                // by startKey: the symptoms of groups that began at the end
}

var (
	_ leat.Broker         = (*Broker)(nil)
	_ leat.Declarer       = (*Broker)(nil)
	_ leat.SystemNamer    = (*Broker)(nil)
	_ leat.HealthReporter = (*Broker)(nil)
	_ leat.Withdrawer     = (*Broker)(nil)
)

// New returns a Broker. It does not connect: addresses and credentials show to be right or wrong at
// the first call that needs the cluster. The error is an [*leat.Error] with [leat.CodeInvalid].
func New(o *Options) (*Broker, error) {
	b := &Broker{o: o.withDefaults(), members: map[string]map[int]bool{}}
	b.life.Broker = "the Kafka broker"
	if err := b.o.validate(); err != nil {
		return nil, options.Invalid(err)
	}
	b.outage = newOutage(&b.o)
	b.conns = &connections{outage: b.outage}
	b.dialer = newDialer(&b.o)
	b.publisher = newPublisher(&b.o, b.conns)
	ctx, cancel := context.WithCancel(context.Background())
	client, err := b.newClient(ctx, b.conns, b.producerOptions())
	if err != nil {
		cancel()
		return nil, options.Invalid(err)
	}
	b.client, b.cancel, b.admin = client, cancel, kadm.NewClient(client)
	b.publisher.copies, b.publisher.marks = mayEdit(client), !readsPartition(client)
	b.publisher.clients.client.Store(client)
	b.publisher.clients.open = func(ctx context.Context) (*kgo.Client, error) { return b.newClient(ctx, b.conns, b.producerOptions()) }
	return b, nil
}

// newClient makes a client of the options that all have, of special, and of what the user gave. The
// end of ctx ends its requests.
func (b *Broker) newClient(ctx context.Context, conns *connections, special []kgo.Opt) (*kgo.Client, error) {
	opts := []kgo.Opt{
		kgo.WithContext(ctx), kgo.SeedBrokers(b.o.Hosts...), kgo.ClientID(b.o.ClientID), kgo.Dialer(b.dialer.dial), kgo.WithHooks(conns),
		kgo.AlwaysRetryEOF(),       // a broker that starts or stops closes connections as one does that wants TLS; health says what it may be
		kgo.DisableClientMetrics(), // they are sent when the client closes, which would take a second more
		kgo.MetadataMinAge(metadataMinAge), kgo.MetadataMaxAge(metadataMaxAge), kgo.RetryBackoffFn(backoff),
		kgo.MaxDecompressBatchBytes(max(mostDecompressed, 4*b.o.MaxMessageBytes)), kgo.WithLogger(logger{b.o.Logger, conns}),
	}
	if b.o.SASL != nil {
		opts = append(opts, kgo.SASL(b.o.SASL.mechanism(b.o.maySend)))
	}
	return kgo.NewClient(append(append(opts, special...), b.o.Client...)...)
}

const (
	metadataMinAge = 250 * time.Millisecond // how soon after a leader has moved the new one may be looked for
	metadataMaxAge = time.Minute            // how soon new partitions are found
	// mostDecompressed is how large a record batch may become when it is decompressed. Producers
	// bound batches before compression, to 1 MiB by default; a hostile one of many empty headers
	// takes twenty times as much memory as this.
	mostDecompressed = 32 << 20
)

// backoff is how long the client waits before it tries a request again: 100 ms, doubled up to 1 s.
func backoff(tries int) time.Duration {
	return min(100*time.Millisecond<<min(max(tries-1, 0), 10), time.Second)
}

func (b *Broker) producerOptions() []kgo.Opt {
	return []kgo.Opt{
		kgo.ProducerLinger(b.o.Linger), kgo.ProducerBatchCompression(compressions[b.o.Compression]()),
		kgo.ProducerBatchMaxBytes(int32(b.o.MaxMessageBytes)), kgo.RecordDeliveryTimeout(b.o.DeliveryTimeout),
		kgo.MaxBufferedRecords(math.MaxInt32), // the publisher bounds them
		kgo.Dialer(b.dialer.watch(b.conns)),
	}
}

// Client returns the native client that publishes, for what Leat does not cover. It must not be
// closed. It may be another one as long as no broker has accepted this producer, so it should not
// be kept.
func (b *Broker) Client() *kgo.Client { return b.publisher.clients.current() }

// System implements [leat.SystemNamer]. It returns "kafka".
func (b *Broker) System() string { return "kafka" }

// Limits returns the largest event that fits into [Options].MaxMessageBytes.
func (b *Broker) Limits() leat.Limits {
	return leat.Limits{MaxEventBytes: b.o.mostEventBytes()}
}

// Health returns nil, or an [*leat.Error] that says what is wrong: the last connection or request
// of the publishing client failed, or publishes are not answered. Both are joined. What concerns
// one stream is in [Stream.Health].
func (b *Broker) Health() error {
	if err := b.life.Closed("health", ""); err != nil {
		return err
	}
	return fault.Join(b.conns.health(""), b.publisher.ledger.Health())
}

// bounded returns ctx with the RequestTimeout.
func (b *Broker) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return lifecycle.Bounded(ctx, b.o.RequestTimeout)
}

// Close closes the streams, waits for the answers to publishes that are under way, and ends the
// connections, all within [Options].CloseTimeout. Publishes without an answer by then are reported
// as unknown, those that still wait for room as closed.
func (b *Broker) Close() error {
	b.life.Close(b.o.CloseTimeout, b.publisher.close, b.closeClients)
	return nil
}

func (b *Broker) closeClients(streams []*Stream) {
	for _, s := range streams {
		s.cancel() // what it leaves its group with has no answer in time
	}
	b.publisher.clients.close()
	b.cancel()
	b.client.Close()
	b.publisher.purges.Wait()
}
