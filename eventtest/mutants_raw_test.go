package eventtest_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
)

// rawMutants break rules of leat.Broker and leat.Stream. Where a defect would break many cases at
// once, which then all wait in vain, the mutant has it only for the events of one case, by their
// ids.
func rawMutants() []mutant {
	return slices.Concat(
		publishMutants(), faultPublishMutants(), neighbourMutants(), eventMutants(), subscribeMutants(),
		standbyMutants(), lagMutants(), browseMutants(), receiveMutants(), settleMutants(), settleAgainMutants(), quiesceMutants(),
		leaseMutants(), closeMutants(), timedMutants(), lateMutants(),
		consumeMutants(), cancelMutants(),
		healthMutants(), outageMutants(), strayMutants(),
		traceMutants(),
	)
}

// publishing is a mutant with another Publish.
func publishing(name, rule string, others []string,
	f func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(i int, err error)),
) mutant {
	return mutant{name: name, rule: rule, others: others, wrap: bend(func(b *bent) { b.publish = f })}
}

// sizing is a mutant that counts what it writes against the limit of events, with the room that
// names and lengths take.
func sizing(name string, others []string, wireSize func(e leat.Event) int) mutant {
	const room = 2 << 10
	return publishing(name, "largest-event-any-bytes", others,
		func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if len(events) == 1 && wireSize(events[0]) > maxEventOf(b)+room {
				done(0, failed(leat.CodeTooLarge))
				return
			}
			b.Publish(ctx, topic, events, done)
		})
}

// maxEventOf is the largest event of a broker.
func maxEventOf(b leat.Broker) int { return cmp.Or(b.Limits().MaxEventBytes, 1<<20) }

func publishMutants() []mutant {
	var batches atomic.Int64
	return []mutant{
		publishing("done twice", "done-once", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(ctx, topic, events, func(i int, err error) {
					done(i, err)
					if i == 50 {
						done(i, err)
					}
				})
			}),
		publishing("done never for the last of many", "done-once", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(ctx, topic, events, func(i int, err error) {
					if i != 99 || len(events) != 100 {
						done(i, err)
					}
				})
			}),
		publishing("confirms before it stores, and sometimes does not", "nil-means-stored", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if last := len(events) - 1; len(events) == 16 && batches.Add(1)%20 == 0 {
					done(last, nil)
					events = events[:last]
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("mixes up the outcomes of a batch", "batch-outcomes",
			[]string{"publish-across-cuts", "publish-across-isolation", "publish-across-kills"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(ctx, topic, events, func(i int, err error) { done((i+1)%len(events), err) })
			}),
		publishing("refuses the neighbours of a refused event", "batch-outcomes", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if len(events) > 1 && slices.ContainsFunc(events, leat.Event.IsZero) {
					for i := range events {
						done(i, failed(leat.CodeInvalid))
					}
					return
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("stores what it refuses", "refused-never-delivered", []string{"publish-canceled"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if ctx.Err() != nil {
					b.Publish(context.WithoutCancel(ctx), topic, events, func(i int, _ error) { done(i, failed(leat.CodeCanceled)) })
					return
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("refuses the largest event", "largest-event", []string{"largest-event-any-bytes"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if events[0].Size() == b.Limits().MaxEventBytes {
					done(0, failed(leat.CodeTooLarge))
					return
				}
				b.Publish(ctx, topic, events, done)
			}),
		sizing("percent-encodes attributes and counts the result", nil, func(e leat.Event) int {
			size := len(e.DataString())
			for name, value := range e.Attributes() {
				size += len(name) + len(url.PathEscape(value))
			}
			return size
		}),
		sizing("writes base64 and counts the result", []string{"largest-event"}, func(e leat.Event) int {
			return e.Size() - len(e.DataString()) + base64.StdEncoding.EncodedLen(len(e.DataString()))
		}),
		sizing("writes JSON and counts the result", []string{"largest-event"}, func(e leat.Event) int {
			text, _ := e.AppendJSON(nil)
			return len(text)
		}),
		sizing("has the key twice and counts the result", nil, func(e leat.Event) int { return e.Size() + len(e.Key()) }),
		publishing("takes data that claims to be an event for it", "largest-event-any-bytes", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if strings.HasPrefix(events[0].DataContentType(), "application/cloudevents") {
					events = []leat.Event{events[0].WithData("application/octet-stream", events[0].Data())}
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("ignores the publisher's ctx", "publish-canceled", []string{"refused-never-delivered", "errors-have-codes"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				b.Publish(context.WithoutCancel(ctx), topic, events, done)
			}),
		publishing("answers late when ctx has ended", "publish-canceled", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if ctx.Err() != nil {
					<-time.After(time.Second)
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("drops accepted events when ctx ends", "cancel-after-publish", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if strings.HasPrefix(events[0].ID(), "call-") && len(events) == 5 {
					go func() {
						<-ctx.Done()
						b.Publish(ctx, topic, events, done)
					}()
					return
				}
				b.Publish(ctx, topic, events, done)
			}),
		publishing("keeps the caller's slice", "events-reused", nil,
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if len(events) != 10 {
					b.Publish(ctx, topic, events, done)
					return
				}
				go func() {
					<-time.After(200 * time.Millisecond)
					done(0, nil) // takes the lock of the case, so that the race detector sees an order
					b.Publish(ctx, topic, events, func(i int, err error) {
						if i > 0 {
							done(i, err)
						}
					})
				}()
			}),
		publishing("reorders a batch", "order-of-a-key", []string{"history"},
			func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
				if len(events) >= 20 {
					events = slices.Clone(events)
					events[0], events[3] = events[3], events[0]
				}
				b.Publish(ctx, topic, events, done)
			}),
	}
}

// encoding is a mutant that stores other events than it was given.
func encoding(name string, f func(e leat.Event) leat.Event) mutant {
	return publishing(name, "byte-for-byte", nil,
		func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
			if !strings.HasPrefix(events[0].ID(), "odd") {
				b.Publish(ctx, topic, events, done)
				return
			}
			changed := make([]leat.Event, len(events))
			for i, e := range events {
				changed[i] = f(e)
			}
			b.Publish(ctx, topic, changed, done)
		})
}

func eventMutants() []mutant {
	return []mutant{
		encoding("writes extensions in a form of its own", func(e leat.Event) leat.Event {
			for name, value := range e.Extensions() {
				if v, ok := value.([]byte); ok {
					e = e.WithExtension(name, hex.EncodeToString(v))
				}
			}
			return e
		}),
		encoding("drops an empty extension", func(e leat.Event) leat.Event {
			for name, value := range e.Extensions() {
				if value == "" {
					e = e.WithExtension(name, nil)
				}
			}
			return e
		}),
		encoding("turns empty data into none", func(e leat.Event) leat.Event {
			if e.HasData() && e.DataString() == "" {
				return e.WithData(e.DataContentType(), nil)
			}
			return e
		}),
		encoding("normalises the source", func(e leat.Event) leat.Event { return e.WithSource(strings.ToLower(e.Source())) }),
		encoding("writes time in UTC", func(e leat.Event) leat.Event { return e.WithTime(e.Time().UTC()) }),
		encoding("repairs text", func(e leat.Event) leat.Event {
			if !e.HasData() {
				return e
			}
			return e.WithData(e.DataContentType(), []byte(strings.ToValidUTF8(e.DataString(), "?")))
		}),
	}
}
