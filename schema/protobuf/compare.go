package protobuf

import (
	"slices"

	"github.com/leatgo/leat/schema"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// comparison collects what breaks between two versions.
type comparison struct {
	newer  bool // the reader is
	w, r   extensions
	seen   map[protoreflect.FullName]bool
	breaks []schema.Break
}

func (c *comparison) broken(rule string, where protoreflect.FullName) {
	c.breaks = append(c.breaks, schema.Break{Rule: rule, Path: string(where), Text: ruleTexts[rule]})
}

// messages compares two messages with the same name, once.
func (c *comparison) messages(w, r protoreflect.MessageDescriptor) {
	if c.seen[w.FullName()] {
		return
	}
	c.seen[w.FullName()] = true
	for i := range w.Fields().Len() {
		f := w.Fields().Get(i)
		if now := r.Fields().ByNumber(f.Number()); now != nil {
			c.fields(f, now)
		} else if c.newer && (!r.ReservedNames().Has(f.Name()) || !r.ReservedRanges().Has(f.Number())) {
			c.broken("field-not-reserved", f.FullName())
		}
	}
	for _, f := range c.w[w.FullName()] {
		if now := c.r.find(w.FullName(), f.Number()); now != nil {
			c.fields(f, now) // one that is gone cannot be reserved, and buf allows that
		}
	}
	if !equal(w.RequiredNumbers(), r.RequiredNumbers()) {
		c.broken("required-changed", w.FullName())
	}
	if c.newer && !keeps(w.ReservedNames(), r.ReservedNames(), fieldRanges(w), fieldRanges(r)) {
		c.broken("reserved-taken-back", w.FullName())
	}
}

func equal(a, b protoreflect.FieldNumbers) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !b.Has(a.Get(i)) {
			return false
		}
	}
	return true
}

// fields compares two fields with the same number.
func (c *comparison) fields(w, r protoreflect.FieldDescriptor) {
	if w.Name() != r.Name() || w.IsExtension() && w.FullName() != r.FullName() {
		c.broken("field-renamed", w.FullName())
	}
	if w.JSONName() != r.JSONName() {
		c.broken("json-name-changed", w.FullName())
	}
	if oneOf(w) != oneOf(r) {
		c.broken("oneof-changed", w.FullName())
	}
	if shape(w) != shape(r) {
		c.broken("cardinality-changed", w.FullName())
		return
	}
	if !w.IsMap() && !w.IsList() && w.Message() == nil && w.Kind() == r.Kind() && !w.Default().Equal(r.Default()) {
		c.broken("default-changed", w.FullName())
	}
	if w.IsMap() {
		c.types(w.MapKey(), r.MapKey(), w.FullName())
		w, r = w.MapValue(), r.MapValue()
	}
	c.types(w, r, w.FullName())
}

// oneOf returns the name of the oneof of a field, "" for one that is only marked as optional.
func oneOf(f protoreflect.FieldDescriptor) protoreflect.Name {
	if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
		return o.Name()
	}
	return ""
}

func shape(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return "map"
	case f.IsList():
		return "list"
	}
	return "one"
}

// sameKinds are scalars that have the same encodings, in binary and in JSON.
var sameKinds = [][]protoreflect.Kind{
	{protoreflect.Int32Kind, protoreflect.Uint32Kind},
	{protoreflect.Int64Kind, protoreflect.Uint64Kind},
	{protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind},
	{protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind},
}

// types compares the types of two fields, or of the keys or values of two maps.
func (c *comparison) types(w, r protoreflect.FieldDescriptor, where protoreflect.FullName) {
	switch {
	case w.Kind() != r.Kind():
		if !slices.ContainsFunc(sameKinds, func(kinds []protoreflect.Kind) bool {
			return slices.Contains(kinds, w.Kind()) && slices.Contains(kinds, r.Kind())
		}) {
			c.broken("type-changed", where)
		}
	case w.Message() != nil:
		if w.Message().FullName() != r.Message().FullName() {
			c.broken("type-changed", where)
			return
		}
		c.messages(w.Message(), r.Message())
	case w.Enum() != nil:
		c.enums(w.Enum(), r.Enum(), where)
	}
}

// enums compares two enums.
func (c *comparison) enums(w, r protoreflect.EnumDescriptor, where protoreflect.FullName) {
	older, newer := w, r
	if !c.newer {
		older, newer = r, w
	}
	if w.FullName() != r.FullName() {
		if !subset(older, newer) {
			c.broken("type-changed", where)
		}
		return
	}
	if c.seen[w.FullName()] {
		return
	}
	c.seen[w.FullName()] = true
	for i := range w.Values().Len() {
		v := w.Values().Get(i)
		now := names(r, v.Number())
		switch {
		case len(now) > 0 && !keepsAll(names(older, v.Number()), names(newer, v.Number())):
			c.broken("value-renamed", v.FullName())
		case len(now) == 0 && c.newer && (!r.ReservedNames().Has(v.Name()) || !r.ReservedRanges().Has(v.Number())):
			c.broken("value-not-reserved", v.FullName())
		}
	}
	if c.newer && !keeps(w.ReservedNames(), r.ReservedNames(), valueRanges(w), valueRanges(r)) {
		c.broken("reserved-taken-back", w.FullName())
	}
}

// names returns the names of a number: with allow_alias it has several.
func names(e protoreflect.EnumDescriptor, number protoreflect.EnumNumber) (all []protoreflect.Name) {
	for i := range e.Values().Len() {
		if v := e.Values().Get(i); v.Number() == number {
			all = append(all, v.Name())
		}
	}
	return all
}

func keepsAll(older, newer []protoreflect.Name) bool {
	return !slices.ContainsFunc(older, func(name protoreflect.Name) bool { return !slices.Contains(newer, name) })
}

// subset reports whether an enum has the last name and all the values of an older one.
func subset(older, newer protoreflect.EnumDescriptor) bool {
	for i := range older.Values().Len() {
		v := older.Values().Get(i)
		if now := newer.Values().ByName(v.Name()); now == nil || now.Number() != v.Number() {
			return false
		}
	}
	return older.Name() == newer.Name()
}

// ruleTexts say what breaks by a rule, and what to do instead.
var ruleTexts = map[string]string{
	"message-renamed":     "the first message of the file is another one; keep its full name and its place, or use a new subject",
	"field-not-reserved":  "the field is gone, and its number or name could be used again; reserve both",
	"value-not-reserved":  "the value is gone, and its number or name could be used again; reserve both",
	"reserved-taken-back": "what was reserved may be used again; keep it reserved",
	"required-changed":    "a message without a required field cannot be read; keep the required fields as they were",
	"field-renamed":       "the name is that of the field in JSON; keep it",
	"value-renamed":       "the name is that of the value in JSON; keep it",
	"json-name-changed":   "the field has another name in JSON; keep json_name",
	"oneof-changed":       "a field of a oneof deletes the others when it is read; keep it in the oneof where it was, or outside",
	"cardinality-changed": "one value, a list and a map are read in different ways; use a new field",
	"default-changed":     "a missing field means another value; keep the default",
	"type-changed":        "the value is read as another one; keep the type, or use a new field",
}
