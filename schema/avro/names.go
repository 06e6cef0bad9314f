package avro

import (
	"slices"
	"strings"

	"github.com/twmb/avro"
)

const record, union = "record", "union"

// names has the definition of every reference to a type. The tree of the library has references as
// they were written, so it depends on the place what one means.
type names map[*avro.SchemaNode]*avro.SchemaNode

// add finds the definitions of a schema, and then what the references mean.
func (n names) add(root *avro.SchemaNode) {
	types := map[string]*avro.SchemaNode{}
	walk(root, "", func(t *avro.SchemaNode, _ string) {
		if isNamed(t) {
			types[fullName(t)] = t
		}
		for i := range t.Fields {
			lift(&t.Fields[i])
		}
	})
	walk(root, "", func(t *avro.SchemaNode, namespace string) {
		if isBuiltIn(t.Type) {
			return
		}
		for _, name := range []string{qualified(t.Type, namespace), t.Type} {
			if types[name] != nil {
				n[t] = types[name]
				return
			}
		}
	})
}

// lift moves a logical type that a field has next to its type into the type, or into the first
// branch that is not null. The library reads it as if it were there.
func lift(f *avro.SchemaField) {
	logical, _ := f.Props["logicalType"].(string)
	for _, t := range branches(&f.Type) {
		if t.Type == "null" {
			continue
		}
		if t.LogicalType == "" {
			t.LogicalType = logical
		}
		return
	}
}

// definition returns the type that a reference means, or the node itself.
func (n names) definition(t *avro.SchemaNode) *avro.SchemaNode {
	if defined := n[t]; defined != nil {
		return defined
	}
	return t
}

// readAs returns what a type of the writer is read as: the reader's type, or the branch of its
// union that the library takes. That is the first with the full name, or else the first with the
// name in another namespace, or else the first that the type is promoted to.
func (n names) readAs(w, r *avro.SchemaNode) *avro.SchemaNode {
	if r.Type != union {
		return r
	}
	for _, match := range []func(w, r *avro.SchemaNode) bool{isSame, isSameElsewhere, isPromoted} {
		for i := range r.Branches {
			if branch := n.definition(&r.Branches[i]); match(w, branch) {
				return branch
			}
		}
	}
	return nil
}

// isSame says whether types are of one kind, and have one full name if they have any.
func isSame(w, r *avro.SchemaNode) bool {
	if !isNamed(w) || kind(w) != kind(r) || w.Size != r.Size {
		return w.Type == r.Type && !isNamed(w)
	}
	name, namespace := fullName(r), namespaceOf(fullName(r))
	return fullName(w) == name || slices.ContainsFunc(r.Aliases, func(alias string) bool {
		return fullName(w) == qualified(alias, namespace)
	})
}

// isSameElsewhere says whether named types are of one kind, and have one name without namespaces.
// An alias with a namespace means no other one.
func isSameElsewhere(w, r *avro.SchemaNode) bool {
	if !isNamed(w) || kind(w) != kind(r) || w.Size != r.Size {
		return false
	}
	name := unqualified(fullName(w))
	return name == unqualified(fullName(r)) || slices.Contains(r.Aliases, name)
}

// isPromoted says whether values of one type are read as another one.
func isPromoted(w, r *avro.SchemaNode) bool {
	switch w.Type {
	case "int":
		return r.Type == "long" || r.Type == "float" || r.Type == "double"
	case "long":
		return r.Type == "float" || r.Type == "double"
	case "float":
		return r.Type == "double"
	case "string":
		return r.Type == "bytes"
	case "bytes":
		return r.Type == "string"
	}
	return false
}

// walk visits a type and those in it, with the namespace that each is in. What a type of another
// kind would have, such as the items of a record, has no meaning.
func walk(t *avro.SchemaNode, namespace string, visit func(t *avro.SchemaNode, namespace string)) {
	visit(t, namespace)
	if isNamed(t) {
		namespace = namespaceOf(fullName(t))
	}
	switch kind(t) {
	case record:
		for i := range t.Fields {
			walk(&t.Fields[i].Type, namespace, visit)
		}
	case "array":
		walk(t.Items, namespace, visit)
	case "map":
		walk(t.Values, namespace, visit)
	case union:
		for i := range t.Branches {
			walk(&t.Branches[i], namespace, visit)
		}
	}
}

// kind is the type; an error is a record.
func kind(t *avro.SchemaNode) string {
	if t.Type == "error" {
		return record
	}
	return t.Type
}

func isNamed(t *avro.SchemaNode) bool {
	return kind(t) == record || t.Type == "enum" || t.Type == "fixed"
}

// isBuiltIn says whether a word cannot be a reference.
func isBuiltIn(word string) bool {
	switch word {
	case "null", "boolean", "int", "long", "float", "double", "bytes", "string",
		record, "error", "enum", "fixed", "array", "map", union:
		return true
	}
	return false
}

// fullName returns the name with the namespace, which the library has found for names without one.
func fullName(t *avro.SchemaNode) string { return qualified(t.Name, t.Namespace) }

// qualified returns a name with a namespace. A name with a dot has its own, and ".R" has none.
func qualified(name, namespace string) string {
	switch dot := strings.LastIndexByte(name, '.'); {
	case dot == 0:
		return name[1:]
	case dot > 0 || namespace == "":
		return name
	}
	return namespace + "." + name
}

func namespaceOf(fullName string) string {
	return fullName[:max(strings.LastIndexByte(fullName, '.'), 0)]
}

func unqualified(fullName string) string {
	return fullName[strings.LastIndexByte(fullName, '.')+1:]
}
