package schema_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The paths, bodies and numbers are those of Confluent's Schema Registry.
func TestHandler(t *testing.T) {
	m := newMemory(t, schema.Backward)
	h := schema.Handler(m, &schema.HandlerOptions{Writable: true})
	const lengths = `,"schemaType":"LENGTH"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/subjects", "", 200, `[]`},
		{"GET", "/schemas/types", "", 200, `["LENGTH"]`},
		{"GET", "/subjects/orders/versions", "", 404, `"error_code":40401`},
		{"POST", "/compatibility/subjects/orders/versions/latest", `{"schema":"10"` + lengths, 404, `"error_code":40401`},
		{"POST", "/subjects/orders/versions", `{"schema":"10"` + lengths, 200, `"version":1`},
		{"POST", "/subjects/orders/versions", `{"schema":"10"` + lengths, 200, `"version":1`},
		{"POST", "/subjects/orders/versions", `{"schema":"9"` + lengths, 409, `"error_code":409`},
		{"POST", "/subjects/orders/versions", `{"schema":"x"` + lengths, 422, `"error_code":42201`},
		{"POST", "/subjects/orders/versions", `{"schema":"{}"}`, 422, `the format \"AVRO\" is not among the Formats`},
		{"POST", "/subjects/orders/versions", `{`, 422, `"error_code":42201`},
		{"POST", "/subjects/orders/versions", `{"schema":"11"` + lengths, 200, `"version":2`},
		{"POST", "/subjects/orders", `{"schema":"11"` + lengths, 200, `"version":2`},
		{"POST", "/subjects/orders", `{"schema":"12"` + lengths, 404, `"error_code":40403`},
		{"POST", "/subjects/none", `{"schema":"12"` + lengths, 404, `"error_code":40401`},
		{"GET", "/subjects", "", 200, `["orders"]`},
		{"GET", "/subjects/orders/versions", "", 200, `[1,2]`},
		{"GET", "/subjects/orders/versions/latest", "", 200, `"subject":"orders","version":2`},
		{"GET", "/subjects/orders/versions/1", "", 200, `"schemaType":"LENGTH","schema":"10"`},
		{"GET", "/subjects/orders/versions/1/schema", "", 200, `10`},
		{"GET", "/subjects/orders/versions/7", "", 404, `"error_code":40402`},
		{"GET", "/subjects/orders/versions/first", "", 422, `"error_code":42202`},
		{"GET", "/schemas/ids/x", "", 404, `"error_code":40403`},
		{"GET", "/schemas/ids/7", "", 404, `"error_code":40403`},
		{"GET", "/schemas/guids/x", "", 404, `"error_code":40403`},
		{"POST", "/compatibility/subjects/orders/versions/latest", `{"schema":"12"` + lengths, 200, `"is_compatible":true`},
		{"POST", "/compatibility/subjects/orders/versions", `{"schema":"9"` + lengths, 200, `"is_compatible":false`},
		{"GET", "/config", "", 200, `{"compatibilityLevel":"BACKWARD"}`},
		{"PUT", "/config/orders", `{"compatibility":"NONE"}`, 200, `{"compatibility":"NONE"}`},
		{"PUT", "/config/orders", `{"compatibility":"SOME"}`, 422, `"error_code":42203`},
		{"PUT", "/config/orders", `x`, 422, `"error_code":42203`},
		{"GET", "/config/orders", "", 200, `{"compatibilityLevel":"NONE"}`},
		{"POST", "/subjects/orders/versions", `{"schema":"9"` + lengths, 200, `"version":3`},
		{"DELETE", "/subjects/orders", "", 405, ``},
		{"GET", "/mode", "", 404, ``},
		{"POST", "/subjects/orders/versions", strings.Repeat("x", 5<<20), 422, `"error_code":42201`},
	} {
		status, body := call(t, h, c.method, c.path, c.body)
		assert.Equal(t, c.status, status, "%s %s: %s", c.method, c.path, body)
		assert.Contains(t, body, c.want, "%s %s", c.method, c.path)
	}
	s, err := m.ByRef(t.Context(), schema.Ref{Subject: "orders", Version: 1})
	require.NoError(t, err)
	_, body := call(t, h, "GET", "/schemas/guids/"+s.GUID, "")
	assert.Contains(t, body, `"schema":"10"`)

	readOnly := schema.Handler(m, nil)
	status, body := call(t, readOnly, "POST", "/subjects/orders/versions", `{"schema":"10"`+lengths)
	assert.Equal(t, 403, status)
	assert.Contains(t, body, "this registry is read only")
	status, _ = call(t, readOnly, "PUT", "/config/orders", `{"compatibility":"FULL"}`)
	assert.Equal(t, 403, status)
}

// Whoever asks for what is not in the files is not told that it exists.
func TestHandlerOverFiles(t *testing.T) {
	registry, err := schema.FromFS(files("orders/1.len", "10"), length{})
	require.NoError(t, err)
	for _, path := range []string{"/schemas/ids/7", "/schemas/guids/5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d", "/subjects/orders/versions/7"} {
		status, body := call(t, schema.Handler(registry, nil), "GET", path, "")
		assert.Equal(t, 404, status)
		assert.Contains(t, body, ": if it is newer than the files, update them")
	}
}

func call(t *testing.T, h http.Handler, method, path, body string) (status int, answer string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, string(text)
}
