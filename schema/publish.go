package schema

import (
	"context"

	"github.com/leatgo/leat"
)

// Publish returns middleware for [leat.ProducerOptions]. It checks the data of every event, and
// sets the attribute dataschema where the event has none, or one with a GUID of
// [Enforcer.ReadHeaders]; one that is not of Base stays. An event whose data does not match is
// refused with [leat.CodeInvalid]; the others of the call go on. An event whose schema cannot be
// loaded is refused with the code of that error: [leat.CodeUnavailable] where the registry is down,
// after which it may be published again. Call [Enforcer.Warm] before, so that this does not happen.
//
// Put it inside middleware that changes data or dataschema.
func (f *Enforcer) Publish() leat.PublishMiddleware {
	return func(next leat.PublishFunc) leat.PublishFunc {
		return func(ctx context.Context, topic string, events []leat.Event, done func(i int, err error)) {
			kept, index := f.checkAll(ctx, topic, events, done)
			switch {
			case index == nil:
				next(ctx, topic, kept, done)
			case len(index) > 0:
				next(ctx, topic, kept, func(i int, err error) { done(index[i], err) })
			}
		}
	}
}

// checkAll returns the events that may be published, and tells done about the others. index says
// where each of them was; it is nil where none is missing. The slice of the caller stays as it is.
func (f *Enforcer) checkAll(
	ctx context.Context, topic string, events []leat.Event, done func(i int, err error),
) (kept []leat.Event, index []int) {
	kept, own := events, false
	for i, e := range events {
		checked, changed, err := f.checkOne(ctx, topic, e)
		if (changed || err != nil) && !own {
			kept, own = append(make([]leat.Event, 0, len(events)), events[:i]...), true
		}
		if err != nil && index == nil {
			index = make([]int, i, len(events))
			for j := range index {
				index[j] = j
			}
		}
		if err != nil {
			done(i, err)
			continue
		}
		if own {
			kept = append(kept, checked)
		}
		if index != nil {
			index = append(index, i)
		}
	}
	return kept, index
}

// checkOne returns an event as it is published.
func (f *Enforcer) checkOne(ctx context.Context, topic string, e leat.Event) (checked leat.Event, changed bool, err error) {
	if leat.IsPoisoned(e) {
		return e, false, nil
	}
	says := f.claim(e)
	if says.guid != "" {
		if err := f.locate(ctx, &says, key{about: byGUID, guid: says.guid}); err != nil {
			return e, false, refusal("publish", topic, e, leat.CodeOf(err), err)
		}
	}
	c, err := f.validate(ctx, "publish", topic, e, says)
	if err == nil && c != nil && f.write && says.pinned {
		checked, err = f.prefixed(topic, e, c)
		return checked, err == nil, err
	}
	if err != nil || c == nil || e.DataSchema() != "" && says.guid == "" {
		return e, false, err
	}
	return e.WithDataSchema(c.uri), true, nil
}
