package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/ranges"
)

// EnforcerOptions are the options of [NewEnforcer]. Formats and Base are required.
type EnforcerOptions struct {
	// Formats are the languages of the schemas.
	Formats []Format
	// Base is what the attribute dataschema of events begins with: dataschema is
	// {Base}/{subject}/versions/{version}. It is a name, an absolute URI that is never fetched, and
	// stays when the registry moves: https://schemas.example.com/subjects.
	Base string
	// Pins are the schemas that a service writes, by the type of the event.
	Pins map[string]Ref
	// Unpinned says what becomes of an event whose type has no pin, and whose dataschema is missing
	// or not one of Base. The zero value is Pass, with which schemas can be introduced into a
	// running system.
	Unpinned Policy
	// Trust are sources whose events [Enforcer.Process] does not check, because their producers do.
	// One that ends with a slash is all sources that begin with it. Whoever can publish can write
	// any source.
	Trust []string
	// Sample is the share of events that Process checks, above 0 and up to 1. 0 means 1, all of
	// them. Publish checks all.
	Sample float64
	// WritePrefix makes Publish write events for consumers with Confluent's clients: the number of
	// the schema is in front of the data, and there is no dataschema, not even one that is not of
	// Base. Events whose type has no pin stay as without it. The registry has to be that of the
	// consumers, such as schema/confluent; with [FromFS] it is that only where [Handler] serves the
	// same files. The data is not what its content type says then, so these events are outside of
	// CloudEvents, and only Confluent's clients and Process with ReadPrefix can read them. They
	// have to be published in binary mode, through one Enforcer.
	//
	// [Enforcer.WriteHeaders] names the schema without any of that.
	WritePrefix bool
	// ReadPrefix makes Process read the prefix of Confluent's clients, in events whose type has a
	// pin and whose dataschema is missing or not one of Base. The handler gets the data without it,
	// and a dataschema. Data that does not begin with a 0 byte has no prefix, except that of AWS
	// Glue: a 3 byte and a 0 or 5 byte, in data of 18 bytes or more, which is refused. Avro and
	// Protobuf may begin with such bytes by themselves: use ReadPrefix where all events have a
	// prefix or a dataschema.
	ReadPrefix bool
	// CacheBytes bounds the schemas that are kept, by the length of their text. What a schema needs
	// in memory may be ten times that. Half of it has to hold all schemas of the events that are
	// published at once, where [Enforcer.WriteHeaders] is used. 0 means 64 MiB.
	CacheBytes int
	// Timeout bounds the loading of a schema with all that it refers to. 0 means 10 s.
	Timeout time.Duration
}

// Policy says what becomes of an event without a schema.
type Policy uint8

// The policies.
const (
	// Pass lets the event pass.
	Pass Policy = iota
	// Refuse refuses to publish the event, or gives it to the poison queue.
	Refuse
)

// Enforcer checks the data of events. It is safe for concurrent use.
//
// The schema of an event is the one that its dataschema names: the writer's. Without one, and where
// dataschema is not one of Base, it is the pin of its type. An event whose type is pinned may not
// name a version of another subject.
//
// Events on their way to a poison queue, and those in one ([leat.IsPoisoned]), pass unchecked, so
// that an invalid event can be put there and looked at. A replay brings the original, which is
// checked. Whoever can publish can mark an event so.
type Enforcer struct {
	reader   Reader
	formats  formats
	uris     uris
	pins     map[string]Ref
	unpinned Policy
	trust    []string
	sample   float64
	write    bool // the prefix
	read     bool
	headers  atomic.Bool // ReadHeaders is used
	compiled *cache[Ref, *contract]
	known    *cache[key, Ref] // by numbers and GUIDs
	converts *cache[versions, *conversion]
}

// contract is a schema that is ready for use.
type contract struct {
	framing

	uri       string // the dataschema
	validator Validator
	format    Format
	bundle    Bundle
}

var errNoReader = errors.New("the Reader is nil; look at the error of opening it")

// NewEnforcer returns an Enforcer with the schemas of r. It asks r when a schema is wanted for the
// first time; see [Enforcer.Warm].
func NewEnforcer(r Reader, o *EnforcerOptions) (*Enforcer, error) {
	if o == nil {
		o = &EnforcerOptions{}
	}
	f := &Enforcer{
		reader: r, formats: slices.Clone(o.Formats), pins: maps.Clone(o.Pins), unpinned: o.Unpinned,
		trust: slices.Clone(o.Trust), sample: cmp.Or(o.Sample, 1), write: o.WritePrefix, read: o.ReadPrefix,
	}
	if err := f.init(o); err != nil {
		return nil, fail("open", leat.CodeInvalid, err)
	}
	most, timeout := cmp.Or(o.CacheBytes, defaultBytes)/2, cmp.Or(o.Timeout, defaultTimeout)
	f.compiled = newCache(most, timeout, f.compile)
	f.known = newCache(defaultBytes/16, timeout, f.identify)
	f.converts = newCache(most, timeout, f.converter)
	return f, nil
}

func (f *Enforcer) init(o *EnforcerOptions) (err error) {
	if nils.Is(f.reader) {
		return errNoReader
	}
	if len(f.formats) == 0 {
		return errors.New("EnforcerOptions.Formats is empty; give it those of the schemas")
	}
	if slices.Contains(f.trust, "") {
		return errors.New("EnforcerOptions.Trust has an empty source; leave it out")
	}
	for eventType, pin := range f.pins {
		if err := pin.fault(); err != nil {
			return fmt.Errorf("EnforcerOptions.Pins of type %.300q: %w", eventType, err)
		}
	}
	if f.uris, err = newURIs(o.Base); err != nil {
		return err
	}
	return cmp.Or(
		f.formats.fault(),
		ranges.Float("EnforcerOptions.Sample", o.Sample, 0, 1),
		ranges.Int("EnforcerOptions.CacheBytes", o.CacheBytes, 1, 1<<40),
		ranges.Duration("EnforcerOptions.Timeout", o.Timeout, time.Millisecond, longest),
		ranges.Enum("EnforcerOptions.Unpinned", o.Unpinned, Refuse),
	)
}

// Warm loads the schemas of all pins. Call it before the service publishes: a schema that is
// missing or wrong is found now, and a registry that goes down later is not missed. The error is
// one for each pin that could not be loaded, joined; [leat.Retryable] says whether it may pass.
func (f *Enforcer) Warm(ctx context.Context) error {
	types := slices.Sorted(maps.Keys(f.pins))
	errs := make([]error, len(types))
	var wg sync.WaitGroup
	for i, eventType := range types {
		wg.Go(func() { _, errs[i] = f.compiled.get(ctx, f.pins[eventType]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// compile loads a schema for the cache.
func (f *Enforcer) compile(ctx context.Context, r Ref) (l loaded[*contract], err error) {
	l.size = len(r.Subject)
	s, err := f.reader.ByRef(ctx, r)
	if err == nil && s == nil {
		err = errNoSchema
	}
	if err != nil {
		return l, named(r, err)
	}
	format, err := f.formats.named(s.Format)
	if err != nil {
		return l, named(r, fail("compile schema", leat.CodeUnsupported, err))
	}
	b, err := bundle(ctx, f.reader, s)
	if err != nil {
		return l, err
	}
	validator, err := format.Compile(b)
	if err != nil {
		return l, named(r, fail("compile schema", leat.CodeInvalid, err))
	}
	l.value = &contract{framingOf(s), f.uris.of(r), validator, format, b}
	l.size += len(s.Text)
	for _, text := range b.Imports {
		l.size += len(text)
	}
	return l, nil
}

// named says which schema an error is about.
func named(r Ref, err error) error { return fmt.Errorf("schema %v: %w", r, err) }

// claim is what an event says of its schema.
type claim struct {
	own, pin      Ref    // that its dataschema names, and that of its type
	named, pinned bool   // there is one
	guid          string // what the dataschema of a pinned type has in the place of a version
}

func (f *Enforcer) claim(e leat.Event) (c claim) {
	c.pin, c.pinned = f.pins[e.Type()]
	if c.own, c.named = f.uris.ref(e.DataSchema()); c.pinned && !c.named {
		c.guid = f.uris.guid(e.DataSchema())
	}
	return c
}

// ofPin reports whether it names a version of the subject to which its type is pinned.
func (c *claim) ofPin() bool { return c.named && c.pinned && c.own.Subject == c.pin.Subject }

// find returns which schema an event has. It is the zero Ref where the event has none, and may
// pass.
func (f *Enforcer) find(c claim) (Ref, error) {
	switch {
	case c.named && c.pinned && !c.ofPin():
		return Ref{}, fmt.Errorf("its dataschema names %v, but the subject of its type is %s", c.own, c.pin.Subject)
	case c.named:
		return c.own, nil
	case c.pinned:
		return c.pin, nil
	case f.unpinned == Refuse:
		return Ref{}, errors.New("its type has no pin, and its dataschema names no schema; pin the type, or use the policy Pass")
	}
	return Ref{}, nil
}

// trusts reports whether the events of a source are not checked.
func (f *Enforcer) trusts(source string) bool {
	return slices.ContainsFunc(f.trust, func(t string) bool {
		return t == source || strings.HasSuffix(t, "/") && strings.HasPrefix(source, t)
	})
}

// validate checks an event that is not poisoned. The contract is nil where it has none and passes.
func (f *Enforcer) validate(ctx context.Context, op, topic string, e leat.Event, says claim) (*contract, error) {
	ref, err := f.find(says)
	if err != nil {
		return nil, refusal(op, topic, e, leat.CodeInvalid, err)
	}
	if ref == (Ref{}) {
		return nil, nil //nolint:nilnil // nothing to check
	}
	c, err := f.compiled.get(ctx, ref)
	if err != nil {
		return nil, refusal(op, topic, e, leat.CodeOf(err), err)
	}
	if !e.HasData() {
		err = errNoData
	} else {
		err = c.validator.Validate(e.DataContentType(), e.DataString())
	}
	if err != nil {
		return nil, refusal(op, topic, e, leat.CodeInvalid, fmt.Errorf("the data does not match schema %v: %w", ref, err))
	}
	return c, nil
}

var errNoData = NewMismatch(Problem{Rule: "the event has no data"})

func refusal(op, topic string, e leat.Event, code leat.Code, err error) error {
	return &leat.Error{Op: op, Topic: topic, EventID: e.ID(), Code: code, Err: err}
}
