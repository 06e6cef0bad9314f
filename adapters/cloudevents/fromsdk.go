package cloudevents

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
)

// What is looked at before anything is copied. The exact limits are those of [leat.Decoder].
const (
	maxEventBytes  = 1 << 20
	maxValueBytes  = 64 << 10
	maxExtensions  = 80
	maxBinaryBytes = maxValueBytes / 4 * 3
	maxShownBytes  = 128
)

// FromSDK returns an event of the SDK as an event of Leat. It copies all of it, so that the SDK's
// may be changed afterwards, but not while FromSDK runs. It takes as much as [leat.Decoder]
// does.
//
// Attributes are what the SDK's own accessors return, byte for byte. Extensions keep their types,
// except that those named longer than 20 bytes, those that begin with "leat" and those whose text
// is longer than 4 KiB become Strings with the same text. An extension that is nil is none.
//
// The error is an [*leat.Error] with Op "convert" and [leat.CodeInvalid], [leat.CodeTooLarge] or,
// for a version other than 1.0, [leat.CodeUnsupported]. Its cause is a [*leat.AttributeError]: for
// what the SDK's setters or its Validate refuse, and for what the SDK lets pass and CloudEvents
// forbids.
func FromSDK(e event.Event) (leat.Event, error) {
	ec, err := contextOf(&e)
	if err != nil {
		return leat.Event{}, err
	}
	fail := func(code leat.Code, err error) (leat.Event, error) {
		return leat.Event{}, convertError(shown(ec.ID), code, err)
	}
	if len(e.FieldErrors) > 0 {
		return fail(leat.CodeInvalid, refusedAttribute(event.ValidationError(e.FieldErrors)))
	}
	if len(e.DataEncoded) > maxEventBytes {
		return fail(leat.CodeTooLarge, attributeError(eventName, "has more than 1 MiB of data", ruleSize))
	}
	if len(ec.Extensions) > maxExtensions {
		return fail(leat.CodeTooLarge, attributeError(eventName, "has more than 80 attributes", ruleSize))
	}
	attributes, err := coreOf(ec)
	if err != nil {
		return fail(leat.CodeInvalid, err)
	}
	extensions, err := extensionsOf(ec)
	if err != nil {
		return fail(codeFor(err), err)
	}
	return assemble(attributes, extensions, e.DataEncoded)
}

// assemble makes an event of what was read.
func assemble(attributes []leat.Header, extensions []extension, data []byte) (leat.Event, error) {
	for _, x := range extensions {
		attributes = append(attributes, leat.Header{Name: x.name, Value: []byte(x.text)})
	}
	out, err := new(leat.Decoder).Decode(attributes, data)
	if err == nil {
		out, err = withTypes(out, extensions)
	}
	if err != nil {
		return leat.Event{}, converted(err)
	}
	return out, nil
}

// converted returns an error of package leat as one of a conversion.
func converted(err error) error {
	own, ok := errors.AsType[*leat.Error](err)
	if !ok {
		return convertError("", leat.CodeInvalid, err)
	}
	return convertError(shown(own.EventID), own.Code, own.Err)
}

// contextOf returns the context of e, of which only that of CloudEvents 1.0 is taken.
func contextOf(e *event.Event) (*event.EventContextV1, error) {
	switch ec := e.Context.(type) {
	case *event.EventContextV1:
		if ec != nil {
			return ec, nil
		}
	case nil:
	case *event.EventContextV03:
		return nil, convertError("", leat.CodeUnsupported, attributeError(versionName,
			`is not "1.0"; convert the event with its method SetSpecVersion`, ruleMust))
	default:
		return nil, convertError("", leat.CodeUnsupported, attributeError(eventName,
			fmt.Sprintf("has a context of the Go type %T, which is none of the SDK's", ec), ruleSDK))
	}
	return nil, convertError("", leat.CodeInvalid, attributeError(eventName, "has no context; make it with the SDK's NewEvent", ruleSDK))
}

// coreOf returns the context attributes that are set. What is empty and set is given too, so that
// it is refused.
func coreOf(ec *event.EventContextV1) ([]leat.Header, error) {
	attributes := make([]leat.Header, 0, 8+len(ec.Extensions))
	add := func(name, value string) {
		attributes = append(attributes, leat.Header{Name: name, Value: []byte(value)})
	}
	add(versionName, event.CloudEventsVersionV1)
	add(idName, ec.ID)
	add(sourceName, ec.Source.String())
	add(typeName, ec.Type)
	if ec.DataContentType != nil {
		add(mediaName, *ec.DataContentType)
	}
	if ec.DataSchema != nil {
		add(schemaName, ec.DataSchema.String())
	}
	if ec.Subject != nil {
		add(subjectName, *ec.Subject)
	}
	if ec.Time != nil {
		text, ok := timeText(ec.Time.Time)
		if !ok {
			return nil, attributeError(timeName, "has a year that RFC 3339 cannot write", ruleTypes)
		}
		add(timeName, text)
	}
	return attributes, nil
}

// timeText returns t in RFC 3339, in its own zone where that has whole minutes, as package leat
// writes it.
func timeText(t time.Time) (text string, ok bool) {
	if _, offset := t.Zone(); offset%60 != 0 || offset <= -24*3600 || offset >= 24*3600 {
		t = t.UTC()
	}
	return t.Format(time.RFC3339Nano), 0 <= t.Year() && t.Year() <= 9999
}

// extension is one of the SDK's, with its canonical text. value is what [leat.Event.WithExtension]
// takes, nil where the text says all.
type extension struct {
	name, text string
	value      any
}

// extensionsOf returns the extensions that are set, sorted by name.
func extensionsOf(ec *event.EventContextV1) ([]extension, error) {
	all := make([]extension, 0, len(ec.Extensions))
	for name, value := range ec.Extensions {
		x, err := extensionOf(name, value)
		if err != nil {
			return nil, err
		}
		if value != nil {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b extension) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// isCore reports whether a name is that of a context attribute, which cannot be an extension.
func isCore(name string) bool {
	switch name {
	case versionName, idName, sourceName, typeName, timeName, mediaName, schemaName, subjectName:
		return true
	}
	return false
}

func extensionOf(name string, value any) (extension, error) {
	x := extension{name: name, value: value}
	fail := func(rule, spec string) (extension, error) {
		return extension{}, attributeError(shown(name), rule, spec)
	}
	if isCore(name) {
		return fail("is no extension: it is a context attribute", ruleNames)
	}
	switch v := value.(type) {
	case nil:
	case string:
		x.text, x.value = v, nil
	case bool:
		x.text = strconv.FormatBool(v)
	case []byte:
		if len(v) > maxBinaryBytes {
			return fail("is longer than 65536 bytes", ruleSize)
		}
		x.text = base64.StdEncoding.EncodeToString(v)
	case types.URI:
		x.text = v.String()
		x.value = leat.URI(x.text)
	case types.URIRef:
		x.text = v.String()
		x.value = leat.URIRef(x.text)
	case types.Timestamp:
		return extensionOf(name, v.Time)
	case time.Time:
		text, ok := timeText(v)
		if !ok {
			return fail("has a year that RFC 3339 cannot write", ruleTypes)
		}
		x.text = text
	default:
		n, ok := integerOf(value)
		switch {
		case !ok:
			return fail(fmt.Sprintf("has the Go type %T; the SDK's SetExtension makes a type of CloudEvents of it", value), ruleTypes)
		case n < math.MinInt32 || n > math.MaxInt32:
			return fail("is outside of the 32 bits of the type Integer", ruleTypes)
		}
		x.text, x.value = strconv.FormatInt(n, 10), int32(n)
	}
	if len(x.text) > maxValueBytes {
		return fail("is longer than 65536 bytes", ruleSize)
	}
	return x, nil
}

// integerOf returns the value of the Go integers that the SDK has after a SetExtension, or that
// somebody put there without one.
func integerOf(value any) (n int64, ok bool) {
	switch v := value.(type) {
	case int32:
		return int64(v), true
	case int:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

// What only another producer can have set cannot be typed again by [leat.Event.WithExtension].
const (
	maxTypedName  = 20
	maxTypedValue = 4 << 10
	reservedNames = "leat"
)

// withTypes gives the extensions, which are Strings so far, the types that they have. Where their
// names or lengths are such that only another producer can have set them, they stay Strings; their
// texts are the same.
func withTypes(e leat.Event, extensions []extension) (leat.Event, error) {
	for _, x := range extensions {
		if x.value == nil || x.name == keyName || len(x.name) > maxTypedName || len(x.text) > maxTypedValue ||
			strings.HasPrefix(x.name, reservedNames) {
			continue
		}
		e = e.WithExtension(x.name, x.value)
	}
	return e, e.Validate()
}

// refusedAttribute returns an error for the first, by name, of the attributes that the SDK refuses.
// It drops the SDK's texts, which quote values.
func refusedAttribute(err error) error {
	refused, ok := errors.AsType[event.ValidationError](err)
	if !ok || len(refused) == 0 {
		return attributeError(eventName, "is refused by the SDK", ruleSDK)
	}
	first := ""
	for name := range refused {
		if first == "" || name < first {
			first = name
		}
	}
	return attributeError(shown(strings.TrimPrefix(first, "extension:")), "is refused by the SDK", ruleSDK)
}

// codeFor is the code of an error about a limit, or about anything else.
func codeFor(err error) leat.Code {
	if a, ok := errors.AsType[*leat.AttributeError](err); ok && a.Spec == ruleSize {
		return leat.CodeTooLarge
	}
	return leat.CodeInvalid
}

// shown cuts what comes from elsewhere to what is shown of it.
func shown(s string) string {
	if len(s) > maxShownBytes {
		return s[:maxShownBytes] + "..."
	}
	return s
}
