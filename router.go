package leat

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/leatgo/leat/internal/nils"
)

// AnyType is the Type of a [Route] for all events that no other route wants.
const AnyType = "*"

// Route leads the events of one type to a handler. EventType.Handler makes one from a typed
// function.
type Route struct {
	// Type is the event type, compared byte for byte, or [AnyType].
	Type string
	// Topic is where events of this type are published. The Consumer refuses to start when its
	// subscription is neither to this topic nor to a poison topic of it. Empty means any topic,
	// which a poison topic with a name of its own needs.
	Topic string
	// Handler handles the events. [Chain] wraps it in middleware of its own.
	Handler Handler
	// Data is the Go type of the data, for [Describe]; EventType.Handler sets it. Nil means
	// unknown. The Router does not look at it.
	Data reflect.Type
}

// Router is a [Handler] that leads each event to the [Route] of its type. An event that no route
// wants is skipped: it is acked, and counted in Stats.Skipped, and the log has the first of each
// type, of the first 100 types of a run; a route for [AnyType] or [RejectUnhandled] changes that.
// Of the types leat.malformed.v1 and leat.reduced.v1, which a Router meets when it replays a poison
// queue, unwanted events are rejected: skipped, they would be lost.
//
// Give the Router itself to [NewConsumer], and middleware for all routes to its options: inside a
// handler of your own, other than what [Chain] returns, the Consumer cannot see it, so that the
// topics of its routes are not checked.
//
// A Router is immutable and safe for concurrent use.
type Router struct {
	routes  []Route
	byType  map[string]Handler
	anyType Handler // nil where unhandled events are skipped
	err     error   // what is wrong with the routes, or nil
}

// NewRouter returns a Router of routes. What is wrong with them is reported by [Router.Check],
// which a Consumer calls when it starts, and by every Handle: no route at all, an empty or
// duplicate type, a topic that is no valid name, a nil handler.
func NewRouter(routes ...Route) *Router {
	r := &Router{routes: append([]Route(nil), routes...), byType: make(map[string]Handler, len(routes))}
	var wrong []error
	if len(routes) == 0 {
		wrong = append(wrong, errors.New("there is no route, so that every event would be skipped"))
	}
	for i, route := range r.routes {
		if err := route.validate(); err != nil {
			wrong = append(wrong, fmt.Errorf("route %d %w", i, err))
			continue
		}
		if _, twice := r.byType[route.Type]; twice {
			wrong = append(wrong, fmt.Errorf("route %d: there is another route for type %s", i, quote(route.Type)))
			continue
		}
		r.byType[route.Type] = route.Handler
	}
	r.anyType = r.byType[AnyType]
	r.err = routeError("", wrong)
	return r
}

// RejectUnhandled returns a route that sends events which no other route wants to the poison queue,
// instead of skipping them.
func RejectUnhandled() Route {
	return Route{Type: AnyType, Handler: HandlerFunc(func(_ context.Context, e Event) error {
		return Reject(&Error{Op: "route", EventID: e.ID(), Code: CodeHandler, Err: fmt.Errorf("no route for type %s", quote(e.Type()))})
	})}
}

// Handle calls the handler of e's type and returns its outcome. For a Router that [Router.Check]
// would refuse, it returns that error, so that nothing is acked.
func (r *Router) Handle(ctx context.Context, e Event) error {
	if r.err != nil {
		return r.err
	}
	h, ok := r.byType[e.Type()]
	if !ok {
		h = r.anyType
	}
	if h == nil {
		if t := e.Type(); t == malformedType || t == reducedType {
			return Reject(&Error{Op: "route", EventID: e.ID(), Code: CodeHandler, Err: fmt.Errorf(
				"no route for type %s, which stands for what a handler never got; PoisonedFrom tells what it is", quote(t))})
		}
		markSkipped(ctx)
		return nil
	}
	return h.Handle(ctx, e)
}

// Check returns an [*Error] with [CodeInvalid] that says everything that is wrong with the routes,
// by themselves and for sub: a route whose Topic is neither sub.Topic nor the one that sub.Topic is
// a poison topic of would never see an event, while those that it was meant for would be skipped as
// handled. A Router that is a route's handler itself is checked too.
func (r *Router) Check(sub Subscription) error {
	if r.err != nil {
		return r.err
	}
	var wrong []error
	for _, route := range r.routes {
		if route.Topic != "" && route.Topic != sub.Topic && !isPoisonTopicOf(sub.Topic, route.Topic) {
			wrong = append(wrong, fmt.Errorf("type %s is published to topic %s, not to this one; correct it, or leave the route's Topic empty",
				quote(route.Type), quote(route.Topic)))
		}
		if c, ok := route.Handler.(subscriptionChecker); ok {
			if err := c.Check(sub); err != nil {
				wrong = append(wrong, fmt.Errorf("type %s: %w", quote(route.Type), err))
			}
		}
	}
	return routeError(sub.Topic, wrong)
}

// validate returns what is wrong with the route alone, or nil.
func (r Route) validate() error {
	if r.Type == "" {
		return errors.New("has no Type")
	}
	if r.Topic != "" {
		if err := CheckTopic(r.Topic); err != nil {
			return fmt.Errorf("for type %s: Topic %w", quote(r.Type), err)
		}
	}
	if nils.Is(r.Handler) {
		return fmt.Errorf("for type %s has no Handler", quote(r.Type))
	}
	return nil
}

// routeError makes one *Error, of one line, of everything that is wrong; nil where nothing is.
func routeError(topic string, wrong []error) error {
	if len(wrong) == 0 {
		return nil
	}
	all := wrong[0]
	for _, err := range wrong[1:] {
		all = fmt.Errorf("%w; %w", all, err)
	}
	return &Error{Op: "route", Topic: topic, Code: CodeInvalid, Err: all}
}

// maxUnrouted is how many types without a route are named in the log, so that a topic whose types
// never repeat fills neither memory nor the log.
const maxUnrouted = 100

// noteSkipped counts an event that no route wanted, and logs the first of its type. The lock is
// held.
func (e *engine) noteSkipped(it *item) {
	e.c.total.skipped++
	if len(e.unrouted) > maxUnrouted {
		return
	}
	kind := it.d.Event.Type()
	id := e.lanes.hash(kind) // the type itself would keep the event's attributes in memory
	if _, known := e.unrouted[id]; known {
		return
	}
	if e.unrouted == nil {
		e.unrouted = map[uint64]struct{}{}
	}
	e.unrouted[id] = struct{}{}
	if len(e.unrouted) > maxUnrouted {
		e.noteLater(lineManySkipped, func() []any { return []any{maxUnrouted} })
		return
	}
	e.noteLater(lineSkipped, func() []any { return []any{cut(kind)} })
}
