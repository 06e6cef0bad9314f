package confluent

import (
	"fmt"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/twmb/franz-go/pkg/sr"
)

// schemaOf returns a schema as package schema has it.
func schemaOf(found *sr.SubjectSchema) *schema.Schema {
	s := &schema.Schema{
		Ref: schema.Ref{Subject: found.Subject, Version: found.Version}, ID: found.ID, GUID: found.GUID,
		Definition: schema.Definition{Format: found.Type.String(), Text: found.Schema.Schema},
	}
	for _, r := range found.References {
		s.References = append(s.References, schema.Reference{Name: r.Name, Ref: schema.Ref{Subject: r.Subject, Version: r.Version}})
	}
	return s
}

// definitionOf returns a definition as the client has it.
func definitionOf(d schema.Definition) (sr.Schema, error) {
	own := sr.Schema{Schema: d.Text}
	if err := own.Type.UnmarshalText([]byte(d.Format)); err != nil {
		err = fmt.Errorf("the registry does not have the format %.40q", d.Format)
		return own, &leat.Error{Op: "register schema", Code: leat.CodeUnsupported, Err: err}
	}
	for _, r := range d.References {
		own.References = append(own.References, sr.SchemaReference{Name: r.Name, Subject: r.Ref.Subject, Version: r.Ref.Version})
	}
	return own, nil
}
