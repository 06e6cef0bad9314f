package interop_test

import (
	"context"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/brokertest"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	theirSpan  = "00f067aa0ba902b7"
)

// handleOne handles one event of the group and returns its span.
func (b *bench) handleOne() sdktrace.ReadOnlySpan {
	b.t.Helper()
	before := len(b.named("process " + b.sub.Topic))
	handled := make(chan leat.Event, 1)
	e := until(b.t, b.consumer(func(_ context.Context, e leat.Event) error {
		handled <- e
		return nil
	}), 1, handled)[0]
	_, has := e.Extension("traceparent")
	assert.False(b.t, has, "the transport's header is not the event's")
	spans := b.named("process " + b.sub.Topic)
	require.Len(b.t, spans, before+1)
	return spans[before]
}

// TestKotel: franz-go's own tracing on both sides of Leat, which knows the header traceparent and
// no CloudEvents.
func TestKotel(t *testing.T) {
	b := newBench(t, openKafka(t), false)
	tracer := kotel.NewTracer(kotel.TracerProvider(b.tracers), kotel.TracerPropagator(propagation.TraceContext{}))
	client, err := kgo.NewClient(kgo.SeedBrokers(brokertest.Kafka(t)...), kgo.WithHooks(tracer), kgo.ConsumeTopics(b.sub.Topic))
	require.NoError(t, err)
	defer client.Close()

	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: b.sub.Topic, Value: []byte("plain")}).FirstErr())
	s := b.handleOne()
	published := b.named(b.sub.Topic + " publish")
	require.Len(t, published, 1)
	assert.Equal(t, published[0].SpanContext().TraceID(), s.SpanContext().TraceID())
	assert.Equal(t, published[0].SpanContext().SpanID(), s.Parent().SpanID())
	require.Len(t, s.Links(), 1)

	require.NoError(t, b.producer.Publish(t.Context(), b.sub.Topic, newEvent(t, "ours")))
	sent := b.named("send " + b.sub.Topic)[0].SpanContext()
	var received trace.SpanContext
	for !received.IsValid() {
		fetched := client.PollFetches(t.Context())
		require.NoError(t, fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			if string(r.Value) == "plain" {
				return
			}
			_, span := tracer.WithProcessSpan(r)
			span.End()
			received = span.SpanContext()
		})
	}
	assert.Equal(t, sent.TraceID(), received.TraceID())
	var parents []trace.SpanID
	for _, s := range b.named(b.sub.Topic + " receive") {
		parents = append(parents, s.Parent().SpanID())
	}
	assert.Contains(t, parents, sent.SpanID(), "the span of the foreign consumer is a child of Leat's")
}

// TestPlainAMQP: programs that read and write the header by hand.
func TestPlainAMQP(t *testing.T) {
	b := newBench(t, openRabbitMQ(t), false)
	connection, err := amqp.Dial(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	defer func() { assert.NoError(t, connection.Close()) }()
	ch, err := connection.Channel()
	require.NoError(t, err)
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	require.NoError(t, err)
	require.NoError(t, ch.QueueBind(queue.Name, "#", b.sub.Topic, false, nil))
	messages, err := ch.ConsumeWithContext(t.Context(), queue.Name, "", true, true, false, false, nil)
	require.NoError(t, err)

	require.NoError(t, ch.PublishWithContext(t.Context(), b.sub.Topic, "", true, false, amqp.Publishing{
		MessageId: "1", Body: []byte("plain"),
		Headers: amqp.Table{"traceparent": "00-" + theirTrace + "-" + theirSpan + "-01", "tracestate": "vendor=1"},
	}))
	s := b.handleOne()
	assert.Equal(t, theirTrace, s.SpanContext().TraceID().String())
	assert.Equal(t, theirSpan, s.Parent().SpanID().String())
	assert.Equal(t, "vendor=1", s.SpanContext().TraceState().String())
	require.Len(t, s.Links(), 1)
	assert.Equal(t, "plain", string(next(t, messages).Body))

	require.NoError(t, b.producer.Publish(t.Context(), b.sub.Topic, newEvent(t, "ours")))
	sent := b.named("send " + b.sub.Topic)[0].SpanContext()
	header := next(t, messages).Headers["traceparent"]
	assert.Equal(t, "00-"+sent.TraceID().String()+"-"+sent.SpanID().String()+"-01", header)
}
