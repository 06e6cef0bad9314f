package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/leatgo/leat/schema/jsonschema"
)

// The schemas in the repository of the services, at their first release and at their second one.
var (
	//go:embed schemas/orders/1.json
	filesOfRelease1 embed.FS
	//go:embed schemas
	filesOfRelease2 embed.FS
)

// breaking is what the repository would be after a change that breaks billing.
//
//go:embed testdata/breaking
var breaking embed.FS

const (
	placedType = "com.example.order.placed"
	directory  = "orders" // in schemas, and the subject
	base       = "https://schemas.example.com/subjects"
)

// fromFiles loads the schemas of a directory, and fails where a version breaks one before it. The
// build calls it in a test.
func fromFiles(files fs.FS, root string) (*schema.Memory, error) {
	files, err := fs.Sub(files, root)
	if err != nil {
		return nil, err
	}
	return schema.FromFS(files, jsonschema.Format{})
}

// schemas is where the services find their schemas.
type schemas struct {
	files    [3]*schema.Memory   // of each release
	registry *confluent.Registry // nil where the services have only files
	subject  string
}

func openSchemas(registry, suffix string) (s *schemas, err error) {
	s = &schemas{subject: directory}
	first, err := fromFiles(filesOfRelease1, "schemas")
	if err != nil {
		return nil, err
	}
	second, err := fromFiles(filesOfRelease2, "schemas")
	if err != nil {
		return nil, err
	}
	s.files[1], s.files[2] = first, second
	if registry != "" {
		s.subject += suffix
		s.registry, err = confluent.New(&confluent.Options{URLs: []string{registry}})
	}
	return s, err
}

// push registers the version that came with a release. The build does this, and the services do
// not.
func (s *schemas) push(ctx context.Context, release int) error {
	added, err := s.files[release].ByRef(ctx, schema.Ref{Subject: directory, Version: release})
	if err != nil {
		return err
	}
	registered, err := s.registry.Register(ctx, s.subject, added.Definition)
	if err != nil {
		return err
	}
	if registered.Version != release {
		return fmt.Errorf("the registry has %s/%d as version %d; use one without other schemas of %[1]s", s.subject, release, registered.Version)
	}
	return nil
}

// enforcer returns the Enforcer of a release of a service. Each release is pinned to the version
// with its number.
func (s *schemas) enforcer(ctx context.Context, release int) (*schema.Enforcer, error) {
	var reader schema.Reader = s.files[release]
	if s.registry != nil {
		reader = s.registry
	}
	enforcer, err := schema.NewEnforcer(reader, &schema.EnforcerOptions{
		Formats: []schema.Format{jsonschema.Format{}},
		Base:    base,
		Pins:    map[string]schema.Ref{placedType: {Subject: s.subject, Version: release}},
	})
	if err != nil {
		return nil, err
	}
	return enforcer, enforcer.Warm(ctx) // a service does not start without its schemas
}
