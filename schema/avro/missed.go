package avro

import (
	"fmt"
	"strings"

	"github.com/leatgo/leat/schema"
	"github.com/twmb/avro"
)

// missed looks for breaks that the library does not see. Values may be read in another unit than
// they were written: Avro's schema resolution does not compare logical types, but for decimals.
// And a field that may be null has a default of null here where it has none, which is not so for
// others: readers in Java and Python refuse the data.
type missed struct {
	names  names
	seen   map[[2]*avro.SchemaNode]bool
	breaks []schema.Break
}

const logicalChanged = "logical-changed"

// missedBreaks returns the breaks of two schemas that are compatible otherwise.
func missedBreaks(w, r *avro.Schema) []schema.Break {
	l := &missed{names: names{}, seen: map[[2]*avro.SchemaNode]bool{}}
	writer, reader := w.Root(), r.Root()
	l.names.add(writer)
	l.names.add(reader)
	l.compare("", writer, reader)
	return l.breaks
}

func (l *missed) compare(path string, w, r *avro.SchemaNode) {
	w, r = l.names.definition(w), l.names.definition(r)
	pair := [2]*avro.SchemaNode{w, r}
	if l.seen[pair] {
		return
	}
	l.seen[pair] = true
	if w.LogicalType != "" && r.LogicalType != "" && w.LogicalType != r.LogicalType {
		l.breaks = append(l.breaks, schema.Break{
			Rule: logicalChanged, Path: path,
			Text: fmt.Sprintf("the value was %s and is read as %s, without a conversion; keep it, or use a new field", w.LogicalType, r.LogicalType),
		})
	}
	switch {
	case w.Type == union || r.Type == union:
		for _, branch := range branches(w) {
			branch = l.names.definition(branch)
			if read := l.names.readAs(branch, r); read != nil {
				l.compare(path, branch, read)
			}
		}
	case w.Type == "array" && r.Type == "array":
		l.compare(path+".items", w.Items, r.Items)
	case w.Type == "map" && r.Type == "map":
		l.compare(path+".values", w.Values, r.Values)
	case kind(w) == record && kind(r) == record:
		l.compareFields(path, w, r)
	}
}

func (l *missed) compareFields(path string, w, r *avro.SchemaNode) {
	for i := range r.Fields {
		field := &r.Fields[i]
		at := strings.TrimPrefix(path+"."+field.Name, ".")
		if f := fieldOf(w, field); f != nil {
			l.compare(at, &f.Type, &field.Type)
		} else if !field.HasDefault {
			l.breaks = append(l.breaks, schema.Break{
				Rule: defaultMissing, Path: at,
				Text: "reader field has no default and is missing from writer; give the field a default, such as null",
			})
		}
	}
}

// branches returns those of a union, or the node itself.
func branches(n *avro.SchemaNode) []*avro.SchemaNode {
	if n.Type != union {
		return []*avro.SchemaNode{n}
	}
	all := make([]*avro.SchemaNode, len(n.Branches))
	for i := range n.Branches {
		all[i] = &n.Branches[i]
	}
	return all
}

// fieldOf returns the writer's field that a field of the reader gets, by its name or an alias.
func fieldOf(w *avro.SchemaNode, r *avro.SchemaField) *avro.SchemaField {
	for _, name := range append([]string{r.Name}, r.Aliases...) {
		for i := range w.Fields {
			if w.Fields[i].Name == name {
				return &w.Fields[i]
			}
		}
	}
	return nil
}
