package leat

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/attribute"
)

// The context attributes of CloudEvents 1.0 other than specversion, which is always "1.0", in the
// order in which they are written.
const (
	attrID = iota
	attrSource
	attrType
	attrTime
	attrContentType
	attrSchema
	attrSubject
	coreCount
)

var coreNames = [coreCount]string{"id", "source", "type", "time", "datacontenttype", "dataschema", "subject"}

const (
	specVersionName = "specversion"
	specVersion     = "1.0"
	keyName         = "partitionkey"
	reservedPrefix  = "leat"
)

// coreIndex returns the index of a context attribute.
func coreIndex(name string) (int, bool) {
	switch name {
	case "id":
		return attrID, true
	case "source":
		return attrSource, true
	case "type":
		return attrType, true
	case "time":
		return attrTime, true
	case "datacontenttype":
		return attrContentType, true
	case "dataschema":
		return attrSchema, true
	case "subject":
		return attrSubject, true
	}
	return 0, false
}

// Limits of attribute names and values. What comes from elsewhere may be longer than what is made
// here, because the specification has no such limit (names longer than 20 are only a SHOULD NOT)
// and an event that is passed on must not be lost for it.
const (
	maxExtensionName        = 20
	maxExtensionNameDecoded = 128
	maxValueBytes           = 4 << 10
	maxValueDecoded         = 64 << 10
	specNames               = "CloudEvents 1.0.2, Naming Conventions"
	specTypes               = "CloudEvents 1.0.2, Type System"
	specRequired            = "CloudEvents 1.0.2, Required Attributes"
	specOptional            = "CloudEvents 1.0.2, Optional Attributes"
	specExtensions          = "CloudEvents 1.0.2, Extension Context Attributes"
	specPartitioning        = "CloudEvents Partitioning extension"
	specSize                = "CloudEvents 1.0.2, Size Limits"
	specData                = "CloudEvents 1.0.2, Event Data"
	specJSONTypes           = "CloudEvents JSON format 1.0.2 §2.2"
	specJSONEnvelope        = "CloudEvents JSON format 1.0.2 §3"
	specJSONDataMember      = "CloudEvents JSON format 1.0.2 §3.1"
	specJSONDeserialize     = "CloudEvents JSON format 1.0.2 §3.1.2"
)

var coreSpecs = [coreCount]string{
	attrID:          specRequired + ": id",
	attrSource:      specRequired + ": source",
	attrType:        specRequired + ": type",
	attrTime:        specOptional + ": time",
	attrContentType: specOptional + ": datacontenttype",
	attrSchema:      specOptional + ": dataschema",
	attrSubject:     specOptional + ": subject",
}

// AttributeError is the cause of an [*Error] about an event that breaks a rule of CloudEvents or a
// limit of Leat. It names the attribute, never the value.
type AttributeError struct {
	// Name is the attribute concerned, or "data", "data_base64" or "event" where the rule is about
	// those. A name that is too long is cut to 128 bytes and ends in "...".
	Name string
	// Rule says what is wrong, such as "is empty".
	Rule string
	// Spec is the section that has the rule, such as "CloudEvents 1.0.2, Required Attributes: id".
	Spec string
}

// Error returns one line: the attribute, the rule and the section.
func (e *AttributeError) Error() string {
	if e.Name == "event" {
		return "the event " + e.Rule + " (" + e.Spec + ")"
	}
	return "attribute " + quote(e.Name) + " " + e.Rule + " (" + e.Spec + ")"
}

// coreRule checks the value of a context attribute that is present; "" means that it is in order.
func coreRule(i int, v string, limit int) (rule, spec string) {
	switch {
	case v == "":
		return "is empty", coreSpecs[i]
	case len(v) > limit:
		return tooLong(limit), specSize
	}
	switch i {
	case attrSource:
		rule = attribute.URIRefRule(v)
	case attrSchema:
		rule = attribute.URIRule(v)
	case attrTime:
		if !attribute.ValidTime(v) {
			rule = "is no RFC 3339 timestamp"
		}
	case attrContentType:
		if v == attribute.JSONType {
			return "", ""
		}
		if rule = attribute.MediaTypeRule(v); rule == "" {
			rule = attribute.TextRule(v)
		}
	default:
		rule = attribute.TextRule(v)
		if rule != "" {
			return rule, specTypes + ": String"
		}
	}
	return rule, coreSpecs[i]
}

func tooLong(limit int) string {
	return "is longer than " + strconv.Itoa(limit) + " bytes"
}

// attrKind is one of the types of CloudEvents that an extension can have.
type attrKind uint8

const (
	kindString attrKind = iota
	kindBoolean
	kindInteger
	kindBinary
	kindURI
	kindURIRef
	kindTimestamp
)

// extension is one extension attribute. Its value is kept in the canonical string form of its type,
// by which values of different types compare as equal when they are the same attribute after a
// transport without types.
type extension struct {
	name, text string
	kind       attrKind
}

// URI is the value of an extension of the CloudEvents type URI: an absolute URI of RFC 3986 §4.3.
// It is kept byte for byte.
type URI string

// URIRef is the value of an extension of the CloudEvents type URI-reference of RFC 3986 §4.1. It is
// kept byte for byte.
type URIRef string

// value returns the value in the Go type of its kind. It shares no memory with x.
func (x *extension) value() any {
	switch x.kind {
	case kindBoolean:
		return x.text == "true"
	case kindInteger:
		n, _ := strconv.ParseInt(x.text, 10, 32)
		return int32(n)
	case kindBinary:
		b, _ := base64.StdEncoding.DecodeString(x.text)
		return b
	case kindURI:
		return URI(x.text)
	case kindURIRef:
		return URIRef(x.text)
	case kindTimestamp:
		t, _ := attribute.ParseTime(x.text)
		return t
	}
	return x.text
}

// nameRule returns the rule that the name of an extension breaks, or "".
func nameRule(name string, limit int) (rule, spec string) {
	if name == "" {
		return "has no name", specNames
	}
	if len(name) > limit {
		return "has a name longer than " + strconv.Itoa(limit) + " bytes", specNames
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "has a name with something other than a-z and 0-9", specNames
		}
	}
	if name == "data" {
		return "has a reserved name", specNames
	}
	return "", ""
}

// newExtension checks the name and value of an extension that is set by a caller.
func newExtension(name string, value any) (extension, *AttributeError) {
	fail := func(rule, spec string) (extension, *AttributeError) {
		return extension{}, &AttributeError{Name: name, Rule: rule, Spec: spec}
	}
	if rule, spec := nameRule(name, maxExtensionName); rule != "" {
		return fail(rule, spec)
	}
	if _, ok := coreIndex(name); ok || name == specVersionName {
		return fail("is no extension: it is a context attribute with a field or method of its own", specExtensions)
	}
	if strings.HasPrefix(name, reservedPrefix) {
		return fail("has a name that begins with leat, which is reserved for Leat", "Leat, poison queue")
	}
	x, rule := canonical(value)
	if rule != "" {
		return fail(rule, specTypes)
	}
	if len(x.text) > maxValueBytes {
		return fail(tooLong(maxValueBytes), specSize)
	}
	if name == keyName && x.text == "" {
		return fail("is empty", specPartitioning)
	}
	x.name = name
	return x, nil
}

// canonical returns the kind and canonical string of a value, without its name (CloudEvents 1.0.2,
// Type System).
func canonical(value any) (x extension, rule string) {
	switch v := value.(type) {
	case string:
		return extension{text: v}, attribute.TextRule(v)
	case bool:
		return extension{text: strconv.FormatBool(v), kind: kindBoolean}, ""
	case []byte:
		if base64.StdEncoding.EncodedLen(len(v)) > maxValueBytes {
			return x, tooLong(maxValueBytes)
		}
		return extension{text: base64.StdEncoding.EncodeToString(v), kind: kindBinary}, ""
	case URI:
		return extension{text: string(v), kind: kindURI}, attribute.URIRule(string(v))
	case URIRef:
		return extension{text: string(v), kind: kindURIRef}, attribute.URIRefRule(string(v))
	case time.Time:
		b, ok := attribute.AppendTime(nil, v)
		if !ok {
			return x, "has a year that RFC 3339 cannot write"
		}
		return extension{text: string(b), kind: kindTimestamp}, ""
	}
	n, ok := integer(value)
	if !ok {
		return x, fmt.Sprintf("has the Go type %T, which is none of the CloudEvents types", value)
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return x, "is outside of the 32 bits of the type Integer"
	}
	return extension{text: strconv.FormatInt(n, 10), kind: kindInteger}, ""
}

// integer returns the value of any Go integer; what is too large even for an int64 becomes its
// maximum.
func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case int:
		return int64(v), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint:
		return int64(min(uint64(v), math.MaxInt64)), true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(min(v, math.MaxInt64)), true
	}
	return 0, false
}
