package eventtest_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/leatgo/leat"
)

// traceMutants break the rules about the trace context, and those about what is malformed that only
// a transport with other bytes or headers breaks.
func traceMutants() []mutant {
	return []mutant{
		{
			name: "forgets the trace context when it redelivers", rule: "trace-context",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					if d.Deliveries > 1 {
						d.Trace = nil
					}
					return true
				})
			}),
		},
		{
			name: "forgets the trace context on another stream", rule: "trace-context", others: []string{"trace-context-foreign"},
			wrap: bend(func(b *bent) {
				var seen set
				b.stream = func(sub leat.Subscription, inner leat.Stream) leat.Stream {
					s := &bentStream{Stream: inner}
					if !seen.add(sub.Topic) {
						s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
							d.Trace = nil
							return true
						})
					}
					return s
				}
			}),
		},
		{
			name: "the trace context of the last publish stays", rule: "trace-context",
			wrap: bend(func(b *bent) {
				var mu sync.Mutex
				var last *leat.TraceContext
				b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
					mu.Lock()
					if t := leat.TraceFrom(ctx); t != nil {
						last = t
					} else if last != nil {
						ctx = leat.ContextWithTrace(ctx, *last)
					}
					mu.Unlock()
					b.Publish(ctx, topic, events, done)
				}
			}),
		},
		{
			name: "writes the trace context into the event", rule: "trace-context", others: []string{"largest-event-any-bytes"},
			wrap: bend(func(b *bent) {
				b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
					if t := leat.TraceFrom(ctx); t != nil {
						events = slices.Clone(events)
						for i := range events {
							events[i] = events[i].WithExtension("traceparent", t.Parent)
						}
					}
					b.Publish(ctx, topic, events, done)
				}
			}),
		},
		{
			name: "takes the event's extension for the trace context", rule: "trace-context",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					if own, ok := d.Event.Extension("traceparent"); ok {
						d.Trace = leat.NewTraceContext(own.(string), "")
					}
					return true
				})
			}),
		},
		{
			name: "refuses what has a long trace context", rule: "trace-context", others: []string{"largest-event-any-bytes"},
			wrap: bend(func(b *bent) {
				b.publish = func(b leat.Broker, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
					if t := leat.TraceFrom(ctx); t != nil && len(t.State) > 500 {
						refuse(events, leat.CodeTooLarge, done)
						return
					}
					b.Publish(ctx, topic, events, done)
				}
			}),
		},
		{
			name: "takes any traceparent", rule: "trace-context-foreign",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					if d.Malformed != nil {
						d.Trace = nil
						for _, h := range d.Malformed.Headers {
							if h.Name == "traceparent" {
								d.Trace = &leat.TraceContext{Parent: string(h.Value)}
							}
						}
					}
					return true
				})
			}),
		},
		{
			name: "takes the trace headers away from what is malformed", rule: "trace-context-foreign",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					changeHeaders(d, func(headers []leat.Header) []leat.Header {
						return slices.DeleteFunc(headers, func(h leat.Header) bool { return strings.HasPrefix(h.Name, "trace") })
					})
					return true
				})
			}),
		},
		{
			name: "the headers of what is malformed come in the order of a map", rule: "malformed",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					changeHeaders(d, func(headers []leat.Header) []leat.Header {
						if d.Deliveries%2 == 0 { // as a map may
							byName := map[string][]leat.Header{}
							for _, h := range headers {
								byName[h.Name] = append(byName[h.Name], h)
							}
							headers = nil
							for _, name := range slices.Backward(slices.Sorted(maps.Keys(byName))) {
								headers = append(headers, byName[name]...)
							}
						}
						return headers
					})
					return true
				})
			}),
		},
		{
			name: "the values of one header of what is malformed come backwards", rule: "malformed",
			wrap: bendStreams(func(_ leat.Subscription, s *bentStream) {
				s.receive = edit(func(_ leat.Stream, d *leat.Delivery) bool {
					changeHeaders(d, func(headers []leat.Header) []leat.Header {
						slices.Reverse(headers)
						return headers
					})
					return true
				})
			}),
		},
	}
}

// changeHeaders gives what is malformed other headers. The broker's own stay as they are.
func changeHeaders(d *leat.Delivery, change func(headers []leat.Header) []leat.Header) {
	if d.Malformed == nil {
		return
	}
	m := *d.Malformed
	m.Headers = change(slices.Clone(m.Headers))
	d.Malformed = &m
}

// forgetsTraceOfPoison breaks P10 for what goes to a poison queue.
func forgetsTraceOfPoison() func(leat.Broker) leat.Broker {
	return (&defect{publish: func(b *shell, ctx context.Context, topic string, events []leat.Event, done func(int, error)) {
		if isPoison(topic) {
			ctx = leat.ContextWithTrace(ctx, leat.TraceContext{})
		}
		b.publish(ctx, topic, events, done)
	}}).wrap()
}

// forgetsTrace breaks R7.
func forgetsTrace() func(leat.Broker) leat.Broker {
	return (&defect{receive: func(s *shellStream, ctx context.Context, into []leat.Delivery) (int, error) {
		n, err := s.receive(ctx, into)
		for i := range n {
			into[i].Trace = nil
		}
		return n, err
	}}).wrap()
}
