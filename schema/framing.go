package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/view"
)

// identify finds, for the cache, which version of the subject in k has its number or its GUID.
func (f *Enforcer) identify(ctx context.Context, k key) (l loaded[Ref], err error) {
	l.size = len(k.ref.Subject) + len(k.guid)
	s, err := k.ask(ctx, f.reader)
	if err != nil {
		return l, fmt.Errorf("%v: %w", k, err)
	}
	l.value = Ref{k.ref.Subject, s.Version}
	if l.value.fault() != nil {
		err = fail("find schema", leat.CodeInternal, fmt.Errorf("%v: the Reader has returned a schema without a version", k))
	}
	return l, err
}

// String names the schema that is asked for.
func (k key) String() string {
	if k.about == byID {
		return fmt.Sprintf("the schema of subject %s with the ID %d", k.ref.Subject, k.id)
	}
	return fmt.Sprintf("the schema of subject %s with the GUID %s", k.ref.Subject, k.guid)
}

// locate finds the version with a number or a GUID, which an event of a pinned type names. It has
// to be one of the pin's subject. Where there is an error, the claim has the subject only.
func (f *Enforcer) locate(ctx context.Context, says *claim, k key) error {
	says.named = true
	if c, ok := f.compiled.peek(says.pin); ok && (k.about == byID && k.id == c.id || k.about == byGUID && k.guid == c.guid) {
		says.own = says.pin
		return nil
	}
	k.ref.Subject = says.pin.Subject
	own, err := f.known.get(ctx, k)
	if err != nil {
		own = k.ref
	}
	says.own = own
	return err
}

// bare returns an event whose dataschema names a version, and whose data has no prefix.
func (f *Enforcer) bare(ctx context.Context, topic string, e leat.Event, says *claim) (leat.Event, error) {
	if says.guid != "" {
		if err := f.locate(ctx, says, key{about: byGUID, guid: says.guid}); err != nil {
			return e, refusal("handle", topic, e, leat.CodeOf(err), err)
		}
		return e.WithDataSchema(f.uris.of(says.own)), nil
	}
	if !f.read || !says.pinned || says.named {
		return e, nil
	}
	id, data, ok, err := readPrefix(e.DataString())
	if err != nil {
		return e, refusal("handle", topic, e, leat.CodeInvalid, err)
	}
	if !ok {
		return e, nil
	}
	unknown, ref := f.locate(ctx, says, key{about: byID, id: id}), says.own
	if errors.Is(unknown, errNewer) {
		ref = says.pin // it has the same format
	} else if unknown != nil {
		return e, refusal("handle", topic, e, leat.CodeOf(unknown), unknown)
	}
	c, err := f.compiled.get(ctx, ref)
	if err != nil {
		return e, refusal("handle", topic, e, leat.CodeOf(err), err)
	}
	if c.format.Name() == protobufFormat {
		if data, err = readIndexes(data); err != nil {
			return e, refusal("handle", topic, e, leat.CodeInvalid, err)
		}
	}
	e = e.WithData(e.DataContentType(), view.Bytes(data))
	if unknown != nil {
		return e, refusal("handle", topic, e, leat.CodeNotFound, unknown)
	}
	return e.WithDataSchema(c.uri), nil
}

// prefixed returns an event as WritePrefix has it.
func (f *Enforcer) prefixed(topic string, e leat.Event, c *contract) (leat.Event, error) {
	if c.prefix == "" {
		return e, refusal("publish", topic, e, leat.CodeUnsupported, errors.New("the registry gives no number that fits into a prefix"))
	}
	data := append(append(make([]byte, 0, len(c.prefix)+len(e.DataString())), c.prefix...), e.DataString()...)
	return e.WithData(e.DataContentType(), data).WithDataSchema(""), nil
}

// WriteHeaders is for [github.com/leatgo/leat/adapters/kafka.Options]. It returns the header with
// the GUID of the schema of an event, as Confluent's clients write and read it; none for an event
// without a schema. The data stays as it is. It does not ask the registry: the event was checked by
// Publish before, or its type is one that Warm has loaded. Nobody may change what it returns. The
// GUIDs of [FromFS] are known only where [Handler] serves the same files.
//
// The error has [leat.CodeUnsupported] where the registry gives no GUIDs, and [leat.CodeInvalid]
// where the schema is not loaded: Publish is missing, or CacheBytes is too small.
func (f *Enforcer) WriteHeaders(e leat.Event) ([]leat.Header, error) {
	if f.write {
		return nil, fail("publish", leat.CodeInvalid, errors.New("EnforcerOptions.WritePrefix is set; use it or WriteHeaders"))
	}
	if leat.IsPoisoned(e) {
		return nil, nil
	}
	says := f.claim(e)
	if says.guid != "" {
		return nil, fail("publish", leat.CodeInvalid, fmt.Errorf("the dataschema has the GUID %s; %s", says.guid, load))
	}
	ref, err := f.find(says)
	if err != nil {
		return nil, fail("publish", leat.CodeInvalid, err)
	}
	if ref == (Ref{}) {
		return nil, nil
	}
	c, ok := f.compiled.peek(ref)
	switch {
	case !ok:
		return nil, fail("publish", leat.CodeInvalid,
			fmt.Errorf("schema %v is not loaded; %s, and raise EnforcerOptions.CacheBytes if it was", ref, load))
	case c.headers == nil:
		return nil, fail("publish", leat.CodeUnsupported, fmt.Errorf("the registry gives no GUID of schema %v; use WritePrefix", ref))
	}
	return c.headers, nil
}

// load says how a schema gets into the cache.
const load = "give Enforcer.Publish to the Producer"

// ReadHeaders is for [github.com/leatgo/leat/adapters/kafka.Options]. It returns the event with a
// dataschema where its type has a pin, it has no dataschema of Base, and the headers of its record
// have the GUID that Confluent's clients write; otherwise as it is. A dataschema not of Base is
// replaced. A header in another form is an error.
//
// The schema is not looked for before Process. Until then dataschema is {Base}/guids/{GUID}, which
// those who read events without Process see, as in a poison queue. Process and Publish replace it
// by that of the version.
func (f *Enforcer) ReadHeaders(e leat.Event, headers []leat.Header) (leat.Event, error) {
	if !f.headers.Load() {
		f.headers.Store(true)
	}
	if says := f.claim(e); !says.pinned || says.named || says.guid != "" || leat.IsPoisoned(e) {
		return e, nil
	}
	for _, h := range slices.Backward(headers) { // of several, the last one counts
		if h.Name == schemaHeader && h.Value != nil {
			guid, err := readHeader(h.Value)
			if err != nil {
				return e, fail("decode", leat.CodeInvalid, err)
			}
			return e.WithDataSchema(f.uris.ofGUID(guid)), nil
		}
	}
	return e, nil
}
