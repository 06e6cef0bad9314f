package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/examples/internal/canary"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/schema"
	"github.com/leatgo/leat/schema/jsonschema"
)

func TestMain(m *testing.M) { brokertest.MainChecked(m, func() error { return goleak.Find() }) }

// The test that every repository with schemas has.
func TestSchemas(t *testing.T) {
	_, err := schema.FromFS(os.DirFS("schemas"), jsonschema.Format{})
	require.NoError(t, err)
}

func TestTheBuildRefusesABreakingVersion(t *testing.T) {
	_, err := schema.FromFS(os.DirFS("testdata/breaking"), jsonschema.Format{})
	_, ok := errors.AsType[*schema.IncompatibleError](err)
	require.True(t, ok, "%v", err)
	assert.ErrorContains(t, err, "orders/2 cannot read what orders/1 has written: required-added at #/required/price")
	assert.ErrorContains(t, err, "orders/1 cannot read what orders/2 has written: required-added at #/required/cents")
}

// The schemas of a release are in the next one as they were.
func TestReleasesShareTheirSchemas(t *testing.T) {
	first, err := filesOfRelease1.ReadFile("schemas/orders/1.json")
	require.NoError(t, err)
	for _, files := range []string{"schemas/orders/1.json", "testdata/breaking/orders/1.json"} {
		text, err := os.ReadFile(files)
		require.NoError(t, err)
		assert.Equal(t, string(first), string(text), files)
	}
}

var changing = regexp.MustCompile(`script-\d+`) // the id of an event

// told runs the program, and returns what it prints.
func told(t *testing.T, c config) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), c, &out))
	return changing.ReplaceAllString(out.String(), "script-N")
}

const fromFilesText = `1. A version that breaks billing: cents are gone, and a price is required. The test of the schemas fails,
   because schema.FromFS reports a conflict:
   orders/2 cannot read what orders/1 has written: required-added at #/required/price: ` +
	`data may lack the property; make it optional, or give it a default
   orders/1 cannot read what orders/2 has written: required-added at #/required/cents: ` +
	`data may lack the property; make it optional, or give it a default

2. Release 1 of both services.
   orders 1 publishes A-1, billing charges 1250 cents

3. Version 2 has an email that may be missing. Orders is updated first.
   schema.FromFS has loaded versions 1 and 2, so the test of the schemas passes
   orders 2 publishes A-2, billing charges 1250 cents
   billing 1 handled A-2 unchecked, because its files end with version 1; with -registry it finds version 2

4. Billing is updated. It handles the orders of both releases.
   orders 1 publishes A-3, billing charges 1250 cents, without a receipt
   orders 2 publishes A-4, billing charges 1250 cents, with a receipt to ann@example.com

5. Orders publishes an order of 0 cents by mistake. Its Enforcer refuses that:
   leat: publish topic "contracts-orders" event "A-5": invalid: the data does not match schema orders/2: at /cents: minimum

6. A script that has no Enforcer publishes a price of "12.50". The poison queue of billing has it:
   leat: handle topic "contracts-orders" event "script-N": invalid: ` +
	`the data does not match schema orders/2: at /cents: type integer, got string
   orders 2 publishes A-7, billing charges 1250 cents, with a receipt to ann@example.com
`

func TestFromFiles(t *testing.T) {
	assert.Equal(t, fromFilesText, told(t, config{broker: "mem://"}))
}

// served returns the URL of an empty registry with Confluent's API, and how often it was asked for
// version 2.
func served(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	registry, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{jsonschema.Format{}}})
	require.NoError(t, err)
	handler := schema.Handler(registry, &schema.HandlerOptions{Writable: true})
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/subjects/orders/versions/2" {
			asked.Add(1)
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestFromARegistry(t *testing.T) {
	url, asked := served(t)
	for range 2 { // what is registered already is registered again
		text := told(t, config{broker: "mem://", registry: url})
		assert.Contains(t, text, "the build registers version 1\n   orders 1 publishes A-1")
		assert.Contains(t, text, "the build registers version 2\n   orders 2 publishes A-2")
		assert.Contains(t, text, "billing 1 got version 2 from the registry")
		assert.Contains(t, text, "at /cents: minimum")
		assert.Contains(t, text, "at /cents: type integer, got string")
		assert.EqualValues(t, 3, asked.Swap(0), "orders 2, billing 1 and billing 2")
	}
}

func TestARegistryThatIsDown(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	err := run(t.Context(), config{broker: "mem://", registry: server.URL}, t.Output())
	assert.Equal(t, leat.CodeUnavailable, leat.CodeOf(err), "%v", err)
}

// suffix is for servers that others use as well.
func suffix() string { return fmt.Sprintf("-%d", time.Now().UnixNano()) }

func TestFromApicurio(t *testing.T) {
	c := config{broker: "mem://", registry: brokertest.Apicurio(t), suffix: suffix()}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	text := told(t, c)
	assert.Contains(t, text, "billing 1 got version 2 from the registry")
	assert.Contains(t, text, "at /cents: type integer, got string\n   orders 2 publishes A-7")
}

func TestOnKafka(t *testing.T) {
	text := told(t, config{broker: "kafka://" + brokertest.Kafka(t)[0], suffix: suffix()})
	assert.Contains(t, text, "orders 2 publishes A-7")
}

// TestNothingOfAnOrderLeaksOut looks for it in spans, metrics and logs.
func TestNothingOfAnOrderLeaksOut(t *testing.T) {
	schemas, err := openSchemas("", "")
	require.NoError(t, err)
	enforcer, err := schemas.enforcer(t.Context(), 2)
	require.NoError(t, err)
	event := func(data string) leat.Event {
		e, err := leat.NewEvent(placedType, &leat.EventOptions{DataContentType: "application/json", Data: []byte(data)})
		require.NoError(t, err)
		return e
	}
	h := enforcer.Process()(billing("orders", 2, make(chan charge, 1)))
	canary.Check(t, leat.Subscription{Topic: "orders", Group: "billing"}, h, canary.Private,
		event(`{"id": "`+canary.Private+`", "cents": 1}`), event(`{"id": "A-1", "cents": 1, "`+canary.Private+`": 1}`))
}
