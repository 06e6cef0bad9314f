package cloudevents

import (
	"net/url"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
)

// Names of attributes, and whose rules are broken in an error.
const (
	versionName = "specversion"
	idName      = "id"
	sourceName  = "source"
	typeName    = "type"
	timeName    = "time"
	mediaName   = "datacontenttype"
	schemaName  = "dataschema"
	subjectName = "subject"
	keyName     = "partitionkey"
	eventName   = "event"

	ruleSDK   = "CloudEvents SDK v2.16.2"
	ruleSize  = "CloudEvents 1.0.2, Size Limits"
	ruleNames = "CloudEvents 1.0.2, Naming Conventions"
	ruleTypes = "CloudEvents 1.0.2, Type System"
	ruleMust  = "CloudEvents 1.0.2, Required Attributes: specversion"
)

// ToSDK returns e as an event of the SDK, of CloudEvents 1.0. It shares nothing with e, so that the
// SDK may change it.
//
// Attributes are kept byte for byte, the types of extensions and the data included; no data, empty
// data and JSON null stay three things. The time is the same instant with the same offset, to the
// nanosecond, in the spelling of the SDK: Z for +00:00, no zeros at the end of a fraction.
// DataBase64, which tells the SDK's JSON writer how to write the data, is set where it would spoil
// them otherwise.
//
// The error is an [*leat.Error] with Op "convert": that of [leat.Event.Validate], or
// [leat.CodeUnsupported] with a [*leat.AttributeError] for an attribute that the SDK would write
// anew or refuse: one with white space around it, a URI that net/url changes, a leap second, a
// fraction of a second of more than nine digits, a media type that package mime does not read.
func ToSDK(e leat.Event) (event.Event, error) {
	if err := e.Validate(); err != nil {
		return event.Event{}, convertError(e.ID(), leat.CodeOf(err), err)
	}
	out := event.Event{Context: &event.EventContextV1{}}
	err := setContext(&out, e)
	if err == nil {
		err = setExtensions(&out, e)
	}
	if err != nil {
		return event.Event{}, convertError(e.ID(), leat.CodeUnsupported, err)
	}
	out.DataEncoded = e.Data()
	out.DataBase64 = e.HasData() && !plainData(e.DataContentType(), e.DataString())
	return out, nil
}

func convertError(id string, code leat.Code, err error) error {
	return &leat.Error{Op: "convert", EventID: id, Code: code, Err: err}
}

func attributeError(name, rule, spec string) *leat.AttributeError {
	return &leat.AttributeError{Name: name, Rule: rule, Spec: spec}
}

// setContext sets the context attributes with the SDK's own setters, and looks what has become of
// them.
func setContext(out *event.Event, e leat.Event) error {
	out.SetID(e.ID())
	out.SetSource(e.Source())
	out.SetType(e.Type())
	out.SetSubject(e.Subject())
	out.SetDataContentType(e.DataContentType())
	out.SetDataSchema(e.DataSchema())
	for _, a := range []struct{ name, was, is string }{
		{idName, e.ID(), out.ID()}, {sourceName, e.Source(), out.Source()}, {typeName, e.Type(), out.Type()},
		{subjectName, e.Subject(), out.Subject()}, {mediaName, e.DataContentType(), out.DataContentType()},
		{schemaName, e.DataSchema(), out.DataSchema()},
	} {
		switch {
		case out.FieldErrors[a.name] != nil:
			return attributeError(a.name, "cannot be set in the SDK", ruleSDK)
		case a.was != a.is:
			return attributeError(a.name, "would be written anew by the SDK", ruleSDK)
		}
	}
	if err := setTime(out, e); err != nil {
		return err
	}
	if err := out.Validate(); err != nil {
		return refusedAttribute(err)
	}
	return nil
}

// setTime sets the time where the SDK can hold it.
func setTime(out *event.Event, e leat.Event) error {
	text := e.TimeString()
	if text == "" {
		return nil
	}
	t := e.Time()
	switch {
	case t.IsZero():
		return attributeError(timeName, "is the zero time, which the SDK takes for none", ruleSDK)
	case text[17:19] == "60":
		return attributeError(timeName, "is a leap second, which the SDK cannot hold", ruleSDK)
	case finerThanNano(text):
		return attributeError(timeName, "has a fraction of more than nine digits, which the SDK cuts", ruleSDK)
	}
	out.SetTime(t)
	return nil
}

// finerThanNano reports whether a valid timestamp has digits below the nanosecond that are not
// zeros.
func finerThanNano(text string) bool {
	_, fraction, _ := strings.Cut(text, ".")
	if end := strings.IndexAny(fraction, "Zz+-"); end >= 0 {
		fraction = fraction[:end]
	}
	return len(fraction) > 9 && strings.Trim(fraction[9:], "0") != ""
}

// setExtensions sets the extensions in their types.
func setExtensions(out *event.Event, e leat.Event) error {
	for name, value := range e.Extensions() {
		v, rule := sdkValue(value)
		if rule != "" {
			return attributeError(name, rule, ruleSDK)
		}
		out.SetExtension(name, v)
		if out.FieldErrors["extension:"+name] != nil {
			return attributeError(name, "cannot be set in the SDK", ruleSDK)
		}
	}
	return nil
}

// sdkValue returns the value of an extension as the SDK has it, or the rule that it breaks.
func sdkValue(value any) (v any, rule string) {
	switch v := value.(type) {
	case leat.URI:
		u, rule := sdkURL(string(v))
		return types.URI{URL: u}, rule
	case leat.URIRef:
		u, rule := sdkURL(string(v))
		return types.URIRef{URL: u}, rule
	}
	return value, "" // the SDK has a type for each of the others, time.Time included
}

func sdkURL(text string) (u url.URL, rule string) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return u, "is a URI that the SDK cannot read"
	case parsed.String() != text:
		return u, "would be written anew by the SDK"
	}
	return *parsed, ""
}
