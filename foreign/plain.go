package foreign

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"maps"
	"mime"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
)

// PlainOptions say what [Plain] makes of a message. Nil and the zero value have the defaults. Where
// a function is set it wins over the constant. Its error makes the message malformed; it must be
// the same for the same message, and not keep its slices.
type PlainOptions struct {
	// Type is the event's type. Empty means the topic.
	Type   string
	TypeOf func(m Message) (string, error)
	// Source is the event's source, a URI-reference. Empty means "/" and the topic.
	Source   string
	SourceOf func(m Message) (string, error)
	// IDOf returns the event's id, which is to be the same whenever the message is delivered: a
	// Retry, an Idempotency and a poison queue know the event by it. Nil, or "", means Message.ID,
	// and a hash of the message where it has none; see [Plain].
	IDOf func(m Message) (string, error)
	// TimeOf returns when the event happened. Nil means the transport's timestamp, Message.Time.
	// The zero Time means that nobody knows.
	TimeOf func(m Message) (time.Time, error)
	// Subject is what the event is about. Empty means none.
	Subject   string
	SubjectOf func(m Message) (string, error)
	// KeyOf returns the event's partitionkey. Nil, or "", means none: order is kept by the
	// transport's key then.
	KeyOf func(m Message) (string, error)
	// DataContentType is the media type of messages that name none, such as "application/json".
	// Empty means none.
	DataContentType string
}

// Plain returns a [Mapping] that makes events of messages without any trace of CloudEvents: the
// body becomes the data, the transport's content type the datacontenttype, and the options say the
// rest. One that is not a media type is left out. It takes a message only where errors.Is(m.Err,
// [ErrPlain]): what claims to be a CloudEvent and is not one stays malformed, unless [First] asks
// [Lenient] before.
//
// The id is Message.ID: on Kafka topic, partition and offset, on RabbitMQ the property message_id,
// on NATS the header Nats-Msg-Id. Where the publisher sets neither of the latter, the id is a hash
// of all that the publisher wrote. Two messages that are equal in all of that, timestamp included,
// have the same id, and an Idempotency handles only one of them: set message_id or Nats-Msg-Id, or
// IDOf.
func Plain(o *PlainOptions) Mapping {
	var opts PlainOptions
	if o != nil {
		opts = *o
	}
	return func(m Message) (leat.Event, error) {
		if !errors.Is(m.Err, ErrPlain) {
			return leat.Event{}, m.Err
		}
		return opts.event(m)
	}
}

func (o *PlainOptions) event(m Message) (leat.Event, error) {
	var errs [6]error
	text := func(i int, f func(m Message) (string, error), constant string) string {
		if f == nil {
			return constant
		}
		var value string
		value, errs[i] = f(m)
		return value
	}
	kind := cmp.Or(text(0, o.TypeOf, o.Type), m.Topic)
	options := leat.EventOptions{
		Source: cmp.Or(text(1, o.SourceOf, o.Source), "/"+m.Topic), ID: text(2, o.IDOf, ""), Subject: text(3, o.SubjectOf, o.Subject),
		Key: text(4, o.KeyOf, ""), DataContentType: cmp.Or(mediaType(m.ContentType), o.DataContentType), Data: m.Body,
	}
	options.Time = m.Time
	if o.TimeOf != nil {
		options.Time, errs[5] = o.TimeOf(m)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return leat.Event{}, err
	}
	if options.ID == "" {
		options.ID = cmp.Or(m.ID, fingerprint(m))
	}
	e, err := leat.NewEvent(kind, &options)
	if err == nil && options.Time.IsZero() {
		e = e.WithTime(time.Time{}) // instead of now, which is not when it happened
	}
	return e, err
}

// mediaType returns a content type, or nothing for what is no media type.
func mediaType(contentType string) string {
	if media, _, err := mime.ParseMediaType(contentType); err != nil || !strings.Contains(media, "/") {
		return ""
	}
	return contentType
}

// fingerprint returns a hash of what a publisher wrote, and of nothing that a broker adds when it
// delivers.
func fingerprint(m Message) string {
	h := sha256.New()
	write(h, m.Topic, m.ContentType, m.Time.UTC().Format(time.RFC3339Nano), string(m.Key), string(m.Body))
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		write(h, name, m.Properties[name])
	}
	for _, header := range m.Headers {
		if !addedLater(header.Name) {
			write(h, header.Name, string(header.Value))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// write hashes texts so that no others give the same.
func write(h hash.Hash, texts ...string) {
	for _, text := range texts {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(text))))
		_, _ = io.WriteString(h, text)
	}
}

// addedLater reports whether a header is one that RabbitMQ writes into a message that it delivers
// again.
func addedLater(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death") || strings.HasPrefix(name, "x-last-death") ||
		name == "x-delivery-count" || name == "x-acquired-count"
}
