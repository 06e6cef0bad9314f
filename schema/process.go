package schema

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/leatgo/leat"
)

const (
	// registryPause is how long a Consumer leaves a registry alone that does not answer.
	registryPause = time.Second
	// eventPause is how long an event waits that cannot be handled for now, unlike others.
	eventPause = 10 * time.Second
)

// Process returns middleware for [leat.ConsumerOptions]. It checks the data of every event with the
// schema of its writer, before the handler gets it.
//
// An event whose data does not match, whose schema certainly does not exist, or whose schema is
// wrong is given to the poison queue at once ([leat.Reject]). Where the schema cannot be loaded for
// now, all events of the Consumer wait ([leat.Pause]): nothing is poisoned or lost, and the
// Consumer goes on by itself. Where only the event is to blame, which names a schema that may not
// be read, or one of very many that do not exist, or a GUID where [Enforcer.ReadHeaders] is not
// used, it waits with those of its key ([leat.Postpone]).
//
// Schemas from files are those of the build. So a version that is newer than all of them may be
// that of a producer that was updated first, and so may a number or a GUID that the subject does
// not have in the files. An event with one is handled unchecked, where its type is pinned to the
// same subject. Where the format of the pin needs the writer's schema ([Converter]), it waits with
// those of its key for the update of the Consumer.
//
// Where the format of the data needs the schema of its writer, and dataschema names another version
// than the pin of the type, the handler gets the event with data and dataschema of the pinned
// version. Trusted events and those that are not sampled are converted as well.
//
// With [EnforcerOptions].ReadPrefix, and for the GUIDs of [Enforcer.ReadHeaders], the schema is the
// version that the pin's subject has with the number or the GUID, and dataschema names that version
// when the handler gets the event. Where the subject does not have it, the event is given to the
// poison queue, unless the schemas are from files. The handler then gets it unchecked, without
// the prefix, and with the dataschema that it had.
//
// Put it outside of the middleware for retries: the same data does not match later either.
func (f *Enforcer) Process() leat.Middleware {
	return func(next leat.Handler) leat.Handler {
		return leat.HandlerFunc(func(ctx context.Context, e leat.Event) error {
			admitted, err := f.admit(ctx, e)
			if err != nil {
				return err
			}
			return next.Handle(ctx, admitted)
		})
	}
}

// admit returns an event as the handler gets it.
func (f *Enforcer) admit(ctx context.Context, e leat.Event) (leat.Event, error) {
	if leat.IsPoisoned(e) {
		return e, nil
	}
	info, _ := leat.InfoFrom(ctx)
	says := f.claim(e)
	e, err := f.bare(ctx, info.Topic, e, &says)
	admitted, converted := e, false
	if err == nil {
		admitted, converted, err = f.convert(ctx, info.Topic, e, says)
	}
	if err == nil && !converted && !f.trusts(e.Source()) && (f.sample == 1 || rand.Float64() < f.sample) {
		_, err = f.validate(ctx, "handle", info.Topic, e, says)
	}
	if err == nil {
		return admitted, nil
	}
	switch {
	case !errors.Is(err, errNewer) || !says.ofPin():
		return e, f.outcome(err, says)
	case f.needsWriter(ctx, says.pin):
		return e, leat.Postpone(eventPause, err)
	}
	return e, nil
}

// outcome is what becomes of an event with an error.
func (f *Enforcer) outcome(err error, says claim) error {
	switch leat.CodeOf(err) {
	case leat.CodeInvalid, leat.CodeNotFound, leat.CodeTooLarge, leat.CodeUnsupported:
		return leat.Reject(err)
	case leat.CodePermissionDenied, leat.CodeInternal:
		if says.named {
			return leat.Postpone(eventPause, err)
		}
	case leat.CodeExhausted:
		if errors.Is(err, errMissing) {
			return leat.Postpone(eventPause, err)
		}
	}
	if says.guid != "" && !f.headers.Load() { // it may be invented, and stops no other event
		return leat.Postpone(eventPause, err)
	}
	return leat.Pause(registryPause, err)
}

// needsWriter reports whether data of a schema can be read with the writer's schema only.
func (f *Enforcer) needsWriter(ctx context.Context, r Ref) bool {
	c, err := f.compiled.get(ctx, r)
	if err != nil {
		return true
	}
	_, ok := c.format.(Converter)
	return ok
}
