package confluent

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/twmb/franz-go/pkg/sr"
)

// Options are the options of [New]. URLs is required.
type Options struct {
	// URLs are those of the registry's servers, http or https, without credentials. Where one cannot be
	// reached, the next one is asked.
	URLs []string
	// User and Password are for basic authentication.
	User, Password string
	// Token is for authentication with a bearer token. With it there is no User.
	Token string
	// Client sends the requests, such as one with a certificate. Nil means one with the defaults of
	// net/http. It is not changed.
	Client *http.Client
	// Timeout bounds each request. 0 means 10 s.
	Timeout time.Duration
}

// Registry is a [schema.Registry] over the network. It keeps nothing: a [schema.Enforcer] has a
// cache, and [schema.Cached] is one.
type Registry struct {
	client  *sr.Client
	timeout time.Duration
}

var _ schema.Registry = (*Registry)(nil)

// New returns a Registry. It makes no request. The error has [leat.CodeInvalid].
func New(o *Options) (*Registry, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.fault(); err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
	}
	client := http.Client{}
	if o.Client != nil {
		client = *o.Client
	}
	client.Transport = bounded{cmp.Or(client.Transport, http.DefaultTransport)}
	opts := []sr.ClientOpt{sr.URLs(o.URLs...), sr.HTTPClient(&client), sr.LogFn(func(int8, string, ...any) {}), sr.UserAgent("leat")}
	if o.User != "" {
		opts = append(opts, sr.BasicAuth(o.User, o.Password))
	}
	if o.Token != "" {
		opts = append(opts, sr.BearerToken(o.Token))
	}
	made, err := sr.NewClient(opts...)
	if err != nil {
		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
	}
	return &Registry{made, cmp.Or(o.Timeout, defaultTimeout)}, nil
}

const defaultTimeout = 10 * time.Second

func (o *Options) fault() error {
	if len(o.URLs) == 0 {
		return errors.New("Options.URLs is empty; give it the address of the registry")
	}
	for _, text := range o.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			return errors.New("Options.URLs has what is no URL of http or https; use one such as https://registry.example.com")
		case u.User != nil || u.RawQuery != "" || u.Fragment != "":
			return errors.New("Options.URLs has a URL with credentials, a query or a fragment; use Options.User, Password and Token")
		}
	}
	switch {
	case o.User == "" && o.Password != "":
		return errors.New("Options.Password is there without a User")
	case o.User != "" && o.Token != "":
		return errors.New("Options has a User and a Token; use one of them")
	case o.Timeout < 0:
		return errors.New("Options.Timeout is negative; use a positive one, or 0 for the default")
	}
	return nil
}

// ByRef implements [schema.Reader]. A version that was deleted is found, as long as the registry
// has not forgotten it: its events are still there.
func (r *Registry) ByRef(ctx context.Context, ref schema.Ref) (*schema.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if ref.Version > 0 {
		ctx = sr.WithParams(ctx, sr.ShowDeleted)
	}
	found, err := r.client.SchemaByVersion(ctx, ref.Subject, cmp.Or(ref.Version, -1)) // -1 is the latest one
	if err != nil {
		return nil, fail(ctx, "find schema", err)
	}
	return schemaOf(&found), nil
}

// ByID implements [schema.Reader]. With subject "" the schema has no subject and no version.
func (r *Registry) ByID(ctx context.Context, subject string, id int) (*schema.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	asking := ctx
	if subject != "" {
		asking = sr.WithParams(ctx, sr.Subject(subject)) // where it is in a context, so is the number
	}
	found, err := r.client.SchemaByID(asking, id)
	if err != nil {
		return nil, fail(ctx, "find schema", err)
	}
	return r.versionOf(ctx, subject, &sr.SubjectSchema{ID: id, Schema: found})
}

// ByGUID implements [schema.Reader]. With subject "" the schema has no subject and no version.
// A registry that does not have the path for GUIDs, or a proxy that keeps it back, is
// [leat.CodeUnavailable]: the schema may exist.
func (r *Registry) ByGUID(ctx context.Context, subject, guid string) (*schema.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	found, err := r.client.SchemaByGUID(ctx, guid)
	if err != nil {
		if r.withoutGUIDs(ctx, err) {
			err = errors.New("the registry does not know GUIDs, or a proxy does not let /schemas/guids through; " +
				"let it through, or have producers use the prefix or dataschema")
			return nil, &leat.Error{Op: "find schema", Code: leat.CodeUnavailable, Err: err}
		}
		return nil, fail(ctx, "find schema", err)
	}
	found.GUID = guid
	return r.versionOf(ctx, subject, &found)
}

// check asks for what the level of the subject forbids. Confluent's registry does so by itself
// where all versions are asked for. Apicurio takes the number of versions from the path, whatever
// the level is, and checks a subject without a level as if it were BACKWARD.
func (r *Registry) check(ctx context.Context, subject string, own sr.Schema) (result sr.CheckCompatibilityResult, err error) {
	level := r.client.Compatibility(sr.WithParams(ctx, sr.DefaultToGlobal), subject)[0]
	if level.Err != nil {
		return result, level.Err
	}
	version := -1 // the latest one
	switch level.Level {
	case sr.CompatBackwardTransitive, sr.CompatForwardTransitive, sr.CompatFullTransitive:
		version = -2 // all
	}
	result, err = r.client.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), subject, version, own)
	result.Is = result.Is || level.Level == sr.CompatNone
	return result, err
}

// withoutGUIDs reports whether the error says that the path for GUIDs does not exist, while another
// path of the registry answers. So it is not a proxy that does not find the registry.
func (r *Registry) withoutGUIDs(ctx context.Context, err error) bool {
	answer, ok := errors.AsType[*sr.ResponseError](err)
	if !ok || answer.StatusCode != http.StatusNotFound || answer.ErrorCode == numberOfSchema {
		return false
	}
	_, err = r.client.SupportedTypes(ctx)
	return err == nil
}

// versionOf returns the version of a subject that has a definition. It may be a deleted one, whose
// events are still there.
func (r *Registry) versionOf(ctx context.Context, subject string, found *sr.SubjectSchema) (*schema.Schema, error) {
	if subject == "" {
		return schemaOf(found), nil
	}
	own, err := r.lookup(sr.WithParams(ctx, sr.ShowDeleted), subject, found.Schema)
	if err != nil {
		return nil, fail(ctx, "find schema", err)
	}
	return schemaOf(&own), nil
}

// lookup finds the version of a subject with a definition. Apicurio leaves out which format it is.
func (r *Registry) lookup(ctx context.Context, subject string, s sr.Schema) (sr.SubjectSchema, error) {
	found, err := r.client.LookupSchema(ctx, subject, s)
	found.Type = s.Type
	return found, err
}

// Versions implements [schema.Registry].
func (r *Registry) Versions(ctx context.Context, subject string) ([]int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	versions, err := r.client.SubjectVersions(ctx, subject)
	if err != nil {
		return nil, fail(ctx, "list versions", err)
	}
	return versions, nil
}

// Register implements [schema.Registry]. Where the registry refuses the definition, the
// [*schema.IncompatibleError] has its message, without rule and path.
func (r *Registry) Register(ctx context.Context, subject string, d schema.Definition) (*schema.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	own, err := definitionOf(d)
	if err != nil {
		return nil, err
	}
	if _, err := r.client.RegisterSchema(ctx, subject, own, -1, -1); err != nil {
		return nil, fail(ctx, "register schema", err)
	}
	found, err := r.lookup(ctx, subject, own)
	if err != nil {
		return nil, fail(ctx, "register schema", err)
	}
	return schemaOf(&found), nil
}

// Check implements [schema.Registry]. The breaks have the messages of the registry as their text,
// without rule, path and versions; Apicurio gives none. A subject without a version forbids
// nothing, and neither does one whose level is NONE. A reference that does not exist is an error.
func (r *Registry) Check(ctx context.Context, subject string, d schema.Definition) ([]schema.Break, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	own, err := definitionOf(d)
	if err != nil {
		return nil, err
	}
	result, err := r.check(ctx, subject, own)
	if err != nil {
		if err = fail(ctx, "check schema", err); leat.CodeOf(err) == leat.CodeNotFound {
			if _, none := r.Versions(ctx, subject); leat.CodeOf(none) == leat.CodeNotFound {
				return nil, nil
			}
		}
		return nil, err
	}
	if result.Is {
		return nil, nil
	}
	var breaks []schema.Break
	for _, message := range result.Messages {
		breaks = append(breaks, schema.Break{Text: message})
	}
	if len(breaks) == 0 { // Apicurio and Karapace give no messages
		breaks = []schema.Break{{Text: "the registry refuses it, and does not say why"}}
	}
	return breaks, nil
}
