package confluent_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/confluent"
	"github.com/leatgo/leat/schema/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns a Registry that asks h.
func serve(t *testing.T, h http.Handler, o confluent.Options) *confluent.Registry {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.URLs, o.Client = []string{server.URL}, server.Client()
	r, err := confluent.New(&o)
	require.NoError(t, err)
	return r
}

func hasCode(t *testing.T, err error, code leat.Code, parts ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, leat.CodeOf(err), "%v", err)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
}

func text(s string, references ...schema.Reference) schema.Definition {
	return schema.Definition{Format: "JSON", Text: s, References: references}
}

// What one registers, others find; against the registry of this module's own kind.
func TestRegistry(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{jsonschema.Format{}}, Level: schema.Backward})
	require.NoError(t, err)
	r := serve(t, schema.Handler(m, &schema.HandlerOptions{Writable: true}), confluent.Options{})
	ctx := t.Context()
	breaks, err := r.Check(ctx, "customers", text(`{"type":"string"}`))
	require.NoError(t, err)
	assert.Empty(t, breaks)
	customer, err := r.Register(ctx, "customers", text(`{"type":"string"}`))
	require.NoError(t, err)
	order, err := r.Register(ctx, "a subject/with a slash"[:9], text(`{"properties":{"by":{"$ref":"customer.json"}}}`,
		schema.Reference{Name: "customer.json", Ref: customer.Ref}))
	require.NoError(t, err)
	assert.Equal(t, schema.Ref{Subject: "a subject", Version: 1}, order.Ref)
	for _, find := range []func() (*schema.Schema, error){
		func() (*schema.Schema, error) { return r.ByRef(ctx, order.Ref) },
		func() (*schema.Schema, error) { return r.ByRef(ctx, schema.Ref{Subject: "a subject"}) },
		func() (*schema.Schema, error) { return r.ByID(ctx, "a subject", order.ID) },
		func() (*schema.Schema, error) { return r.ByID(ctx, "", order.ID) },
		func() (*schema.Schema, error) { return r.ByGUID(ctx, "a subject", order.GUID) },
		func() (*schema.Schema, error) { return r.ByGUID(ctx, "", order.GUID) },
	} {
		found, err := find()
		require.NoError(t, err)
		assert.Equal(t, order.Definition, found.Definition)
		assert.Equal(t, order.ID, found.ID)
	}
	versions, err := r.Versions(ctx, "customers")
	require.NoError(t, err)
	assert.Equal(t, []int{1}, versions)

	breaks, err = r.Check(ctx, "customers", text(`{"type":"integer"}`))
	require.NoError(t, err)
	require.Len(t, breaks, 1)
	assert.Contains(t, breaks[0].String(), "type-narrowed at #/type")
	_, err = r.Register(ctx, "customers", text(`{"type":"integer"}`))
	hasCode(t, err, leat.CodeConflict, "type-narrowed")
	_, ok := errors.AsType[*schema.IncompatibleError](err)
	assert.True(t, ok)
	_, err = r.Register(ctx, "customers", text(`{`))
	hasCode(t, err, leat.CodeInvalid, "status 422")
	missing := text(`{"properties":{"by":{"$ref":"c.json"}}}`, schema.Reference{Name: "c.json", Ref: schema.Ref{Subject: "none", Version: 1}})
	_, err = r.Check(ctx, "customers", missing)
	hasCode(t, err, leat.CodeNotFound, "none")
	_, err = r.Register(ctx, "customers", missing)
	hasCode(t, err, leat.CodeNotFound, "none")
	_, err = r.Register(ctx, "customers", schema.Definition{Format: "XML", Text: "<a/>"})
	hasCode(t, err, leat.CodeUnsupported, `the registry does not have the format "XML"`)
	_, err = r.ByRef(ctx, schema.Ref{Subject: "none", Version: 1})
	hasCode(t, err, leat.CodeNotFound)
	_, err = r.ByRef(ctx, schema.Ref{Subject: "customers", Version: 9})
	hasCode(t, err, leat.CodeNotFound)
	_, err = r.ByID(ctx, "", 4711)
	hasCode(t, err, leat.CodeNotFound)
	_, err = r.Versions(ctx, "none")
	hasCode(t, err, leat.CodeNotFound)
}

// The code of each answer that is no schema: only the registry itself says that one does not exist.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		code   leat.Code
		part   string
	}{
		"no such version":      {404, `{"error_code":40402,"message":"Version 1 not found."}`, leat.CodeNotFound, "Version 1 not found."},
		"a path of a proxy":    {404, "<html>not here</html>", leat.CodeUnavailable, "correct Options.URLs"},
		"no credentials":       {401, `{"error_code":401,"message":"Unauthorized"}`, leat.CodeUnauthenticated, "User and Password"},
		"forbidden":            {403, `{"error_code":40301,"message":"no"}`, leat.CodePermissionDenied, "no"},
		"a backend that fails": {500, `{"error_code":50001,"message":"Error in the backend data store"}`, leat.CodeUnavailable, "backend"},
		"a proxy":              {502, "Bad Gateway", leat.CodeUnavailable, "Bad Gateway"},
		"too many requests":    {429, ``, leat.CodeExhausted, "429"},
		"invalid":              {422, `{"error_code":42202,"message":"bad version"}`, leat.CodeInvalid, "bad version"},
		"no JSON":              {200, "<html>", leat.CodeUnavailable, "cannot be read"},
		"empty":                {200, "", leat.CodeUnavailable, "cannot be read"},
		"a long message":       {500, strings.Repeat("x", 10_000), leat.CodeUnavailable, "xxx ..."},
		"an endless answer":    {200, `{"schema":"` + strings.Repeat("x", 17<<20), leat.CodeUnavailable, "more than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}), confluent.Options{})
			_, err := r.ByRef(t.Context(), schema.Ref{Subject: "s", Version: 1})
			hasCode(t, err, c.code, c.part)
			assert.Less(t, len(err.Error()), 1_000)
		})
	}
}

// A registry without GUIDs answers as a proxy does that does not find the registry.
func TestNoGUIDs(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /schemas/types", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`["JSON"]`)) })
	for _, c := range []struct {
		h    http.Handler
		code leat.Code
		part string
	}{
		{mux, leat.CodeUnavailable, "the registry does not know GUIDs, or a proxy does not let /schemas/guids through"},
		{http.NotFoundHandler(), leat.CodeUnavailable, "correct Options.URLs"},
	} {
		_, err := serve(t, c.h, confluent.Options{}).ByGUID(t.Context(), "s", "5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d")
		hasCode(t, err, c.code, c.part)
	}
}

// Check asks for as many versions as the level says, and why they break.
func TestCheckAsksForTheLevel(t *testing.T) {
	level := ""
	mux := http.NewServeMux()
	mux.HandleFunc("GET /config/s", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "true", r.FormValue("defaultToGlobal"))
		_, _ = w.Write([]byte(`{"compatibilityLevel":"` + level + `"}`))
	})
	for path, said := range map[string]string{"/latest": "the latest", "": "all"} {
		mux.HandleFunc("POST /compatibility/subjects/s/versions"+path, func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "true", r.FormValue("verbose"))
			_, _ = w.Write([]byte(`{"is_compatible":false,"messages":["` + said + `"]}`))
		})
	}
	r := serve(t, mux, confluent.Options{})
	for name, want := range map[string][]schema.Break{
		"BACKWARD": {{Text: "the latest"}}, "FULL": {{Text: "the latest"}}, "FORWARD_TRANSITIVE": {{Text: "all"}}, "NONE": nil,
	} {
		level = name
		breaks, err := r.Check(t.Context(), "s", text(`{}`))
		require.NoError(t, err)
		assert.Equal(t, want, breaks)
	}
}

func TestCredentials(t *testing.T) {
	seen := make(chan string, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`[1]`))
	})
	_, err := serve(t, h, confluent.Options{User: "u", Password: "p"}).Versions(t.Context(), "s")
	require.NoError(t, err)
	assert.Equal(t, "Basic dTpw", <-seen)
	_, err = serve(t, h, confluent.Options{Token: "abc"}).Versions(t.Context(), "s")
	require.NoError(t, err)
	assert.Equal(t, "Bearer abc", <-seen)
}

// A registry that is down, or silent, is unavailable; the end of the caller's context is not.
func TestSilence(t *testing.T) {
	r, err := confluent.New(&confluent.Options{URLs: []string{"http://127.0.0.1:1"}})
	require.NoError(t, err)
	_, err = r.Versions(t.Context(), "s")
	hasCode(t, err, leat.CodeUnavailable, "the registry cannot be reached")
	release := make(chan struct{})
	waits := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })
	silent := serve(t, waits, confluent.Options{Timeout: 50 * time.Millisecond})
	defer close(release)
	_, err = silent.Versions(t.Context(), "s")
	hasCode(t, err, leat.CodeUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = silent.Versions(ctx, "s")
	hasCode(t, err, leat.CodeCanceled)
}

func TestMistakes(t *testing.T) {
	url := []string{"https://registry.example.com"}
	for _, c := range []struct {
		o    confluent.Options
		want string
	}{
		{confluent.Options{}, "Options.URLs is empty"},
		{confluent.Options{URLs: []string{"registry:8081"}}, "no URL of http or https"},
		{confluent.Options{URLs: []string{"https://u:s3cr3t@registry"}}, "has a URL with credentials"},
		{confluent.Options{URLs: url, Password: "s3cr3t"}, "Options.Password is there without a User"},
		{confluent.Options{URLs: url, User: "u", Token: "s3cr3t"}, "a User and a Token"},
		{confluent.Options{URLs: url, Timeout: -1}, "Options.Timeout is negative"},
	} {
		_, err := confluent.New(&c.o)
		hasCode(t, err, leat.CodeInvalid, c.want)
		assert.NotContains(t, err.Error(), "s3cr3t")
	}
	_, err := confluent.New(nil)
	hasCode(t, err, leat.CodeInvalid)
}

// A service with its schemas in a registry starts, and goes on while the registry is down.
func TestEnforcerOverTheNetwork(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{jsonschema.Format{}}})
	require.NoError(t, err)
	_, err = m.Register(t.Context(), "orders", text(`{"type":"string"}`))
	require.NoError(t, err)
	server := httptest.NewServer(schema.Handler(m, nil))
	r, err := confluent.New(&confluent.Options{URLs: []string{server.URL}, Client: server.Client()})
	require.NoError(t, err)
	enforcer, err := schema.NewEnforcer(r, &schema.EnforcerOptions{
		Formats: []schema.Format{jsonschema.Format{}}, Base: "https://schemas.example.com/subjects",
		Pins: map[string]schema.Ref{"order.placed": {Subject: "orders", Version: 1}},
	})
	require.NoError(t, err)
	require.NoError(t, enforcer.Warm(t.Context()))
	server.Close()
	handle := enforcer.Process()(leat.HandlerFunc(func(context.Context, leat.Event) error { return nil }))
	placed := leat.EventType[any]{Name: "order.placed", Topic: "orders", Source: "/shop"}
	good, err := placed.New("o-1")
	require.NoError(t, err)
	require.NoError(t, handle.Handle(t.Context(), good))
	bad, err := placed.New(1)
	require.NoError(t, err)
	assert.True(t, leat.IsRejected(handle.Handle(t.Context(), bad)))
	newer := good.WithDataSchema("https://schemas.example.com/subjects/orders/versions/2")
	assert.True(t, leat.IsPaused(handle.Handle(t.Context(), newer)), "whether it exists is not known")
}
