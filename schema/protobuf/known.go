package protobuf

import (
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// known reports whether all fields of well-formed data are those of the schema. It looks at the
// bytes, because that takes less time than unknown, which goes through the message, and because the
// library drops what it does not know of the entries of a map.
func known(m protoreflect.MessageDescriptor, types linker.Resolver, data []byte) bool {
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return false
		}
		field := fieldOf(m, types, number)
		if field == nil {
			return false
		}
		packed := wire == protowire.BytesType && field.IsList() && field.Kind() != protoreflect.GroupKind
		if wire != wireOf(field.Kind()) && !packed {
			return false
		}
		data = data[n:]
		var inner []byte
		switch {
		case field.Message() == nil:
			n = protowire.ConsumeFieldValue(number, wire, data)
		case wire == protowire.StartGroupType:
			inner, n = protowire.ConsumeGroup(number, data)
		default:
			inner, n = protowire.ConsumeBytes(data)
		}
		if n < 0 || field.Message() != nil && !known(field.Message(), types, inner) {
			return false
		}
		data = data[n:]
	}
	return true
}

// fieldOf returns a field or an extension of m, or nil.
func fieldOf(m protoreflect.MessageDescriptor, types linker.Resolver, number protowire.Number) protoreflect.FieldDescriptor {
	if field := m.Fields().ByNumber(number); field != nil {
		return field
	}
	if !m.ExtensionRanges().Has(number) {
		return nil
	}
	extension, err := types.FindExtensionByNumber(m.FullName(), number)
	if err != nil {
		return nil
	}
	return extension.TypeDescriptor()
}

// wireOf returns how a value of a kind is written on its own.
func wireOf(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}
