package foreign_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errRefused = errors.New("the reader's reason")

// inJSON is a structured message with an event that has more members.
func inJSON(more string) foreign.Message {
	return foreign.Message{ContentType: "application/cloudevents+json", Err: errRefused,
		Body: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t",` + more + `}`)}
}

// spelling is how a transport writes attributes.
type spelling struct {
	prefix string
	rabbit bool
}

func spellings() map[string]spelling {
	return map[string]spelling{
		"Kafka": {"ce_", false}, "Knative": {"ce-", true}, "Spring": {"cloudEvents:", true}, "C#": {"cloudEvents_", true},
		"capital letters": {"CE_", false},
	}
}

// inHeaders is a binary message with an event that has more attributes, names and values in turn.
func (s spelling) inHeaders(more ...string) foreign.Message {
	m := foreign.Message{Body: []byte(`{"a":1}`), Err: errRefused}
	all := append([]string{"specversion", "1.0", "id", "1", "source", "/s", "type", "t"}, more...)
	for i := 0; i < len(all); i += 2 {
		if all[i] == "content-type" {
			m.ContentType = all[i+1]
			continue
		}
		m.Headers = append(m.Headers, leat.Header{Name: s.prefix + all[i], Value: []byte(all[i+1])})
	}
	if s.rabbit {
		m.Properties = map[string]string{"exchange": "e"}
	}
	return m
}

// attributesOf returns the attributes of an event but for the four that each has here.
func attributesOf(e leat.Event) map[string]string {
	all := map[string]string{}
	maps.Insert(all, e.Attributes())
	for name, value := range map[string]string{"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} {
		if all[name] == value {
			delete(all, name)
		}
	}
	return all
}

// checkRepaired reads a message with Lenient. want has names and values in turn.
func checkRepaired(t *testing.T, m foreign.Message, want ...string) leat.Event {
	t.Helper()
	e, err := foreign.Lenient(nil)(m)
	require.NoError(t, err)
	require.NoError(t, e.Validate())
	attributes := map[string]string{}
	for i := 0; i < len(want); i += 2 {
		attributes[want[i]] = want[i+1]
	}
	assert.Equal(t, attributes, attributesOf(e))
	return e
}

// TestHeaderRules has the rules for attributes in headers, in each spelling.
func TestHeaderRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ more, want []string }{
		"a name with separators": {
			[]string{"my-ext_a.b", "x"}, []string{"myextab", "x", "leatrepaired", `myextab: renamed from my-ext_a.b`},
		},
		"a name twice with one value": {
			[]string{"ext", "x", "ext", "x"}, []string{"ext", "x", "leatrepaired", `ext: there twice with one value`},
		},
		"time in seconds": {
			[]string{"time", "1732788930.120000000"},
			[]string{"time", "2024-11-28T10:15:30.12Z", "leatrepaired", `time: seconds since 1970 (was "1732788930.120000000")`},
		},
		"an empty subject": {
			[]string{"subject", "", "datacontenttype", "", "time", "", "dataschema", ""},
			[]string{"leatrepaired", "time: empty, removed; datacontenttype: empty, removed; dataschema: empty, removed; subject: empty, removed"},
		},
		"JSON quotes": {
			[]string{"time", `"2024-11-28T10:15:30Z"`, "ext", `"stays"`, "content-type", `"application/json"`},
			[]string{"time", "2024-11-28T10:15:30Z", "ext", `"stays"`, "datacontenttype", "application/json",
				"leatrepaired", `time: JSON quotes removed (was "\"2024-11-28T10:15:30Z\""); ` +
					`datacontenttype: JSON quotes removed (was "\"application/json\"")`},
		},
		"content types that differ in case": {
			[]string{"content-type", "Text/Plain", "datacontenttype", "text/plain"},
			[]string{"datacontenttype", "Text/Plain", "leatrepaired",
				`datacontenttype: two that differ in form only (was "text/plain")`},
		},
		"content types of which one has a charset": {
			[]string{"content-type", "text/plain", "datacontenttype", "TEXT/plain; charset=x"},
			[]string{"datacontenttype", "TEXT/plain; charset=x", "leatrepaired",
				`datacontenttype: two that differ in form only (was "text/plain")`},
		},
		"a default content type": {
			[]string{"content-type", "application/octet-stream", "datacontenttype", "text/plain"},
			[]string{"datacontenttype", "text/plain", "leatrepaired",
				`datacontenttype: the attribute, not the default (was "application/octet-stream")`},
		},
		"the content type of structured mode": {
			[]string{"content-type", "application/cloudevents+json", "datacontenttype", "application/json"},
			[]string{"datacontenttype", "application/json", "leatrepaired",
				`datacontenttype: the content type of structured mode, removed (was "application/cloudevents+json")`},
		},
		"a dataschema without a schema": {
			[]string{"dataschema", "#"}, []string{"leatrepaired", `dataschema: names no schema, removed (was "#")`},
		},
		"a relative dataschema": {
			[]string{"dataschema", "a b.json"}, []string{"schemaurl", "a%20b.json",
				"leatrepaired", `dataschema: percent-encoded (was "a b.json"); schemaurl: a dataschema that is not an absolute URI without a fragment`},
		},
		"nothing that Lenient knows": {
			[]string{"ext", "1.5"}, []string{"ext", "1.5", "leatrepaired", `message: read although it was refused`},
		},
		"a list that came with the message": {
			[]string{"subject", "", "leatrepaired", "all is \u00e9 well"},
			[]string{"leatrepaired", `subject: empty, removed; leatrepaired: the message came with it (was "all is \u00e9 well")`},
		},
	} {
		for where, s := range spellings() {
			t.Run(name+", "+where, func(t *testing.T) {
				t.Parallel()
				e := checkRepaired(t, s.inHeaders(c.more...), c.want...)
				assert.Equal(t, `{"a":1}`, e.DataString())
			})
		}
	}
}

// TestJSONRules has the rules for events in JSON.
func TestJSONRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more string
		want []string
		data string
	}{
		"capital letters beside null, as Debezium": {
			`"txId":"5","txid":null,"data":{"a":1}`, []string{"txid", "5", "leatrepaired", "txid: renamed from txId"}, `{"a":1}`,
		},
		"a member twice": {`"ext":5,"ext":5`, []string{"ext", "5", "leatrepaired", "ext: there twice with one value"}, ""},
		"numbers": {
			`"big":5000000000,"low":-2147483649,"half":-1.50,"exp":1e3,"fine":-0`,
			[]string{"big", "5000000000", "low", "-2147483649", "half", "-1.50", "exp", "1e3", "fine", "0", "leatrepaired",
				"big: a number that is not an integer of 32 bits, kept as text; low: a number that is not an integer of 32 bits, kept as text; " +
					"half: a number that is not an integer of 32 bits, kept as text; exp: a number that is not an integer of 32 bits, kept as text"}, "",
		},
		"an object and an array": {
			`"o":{"a" : "\u00e9\n", "n":[]},"l":[1, 2]`,
			[]string{"o", `{"a":"\u00e9\n","n":[]}`, "l", "[1,2]", "leatrepaired",
				"o: an object or array, kept as JSON text; l: an object or array, kept as JSON text"}, "",
		},
		"numbers and booleans in attributes that are texts": {
			`"subject":5,"time":1732788930123`,
			[]string{"subject", "5", "time", "2024-11-28T10:15:30.123Z", "leatrepaired",
				`subject: a JSON value that is not a string, kept as text; time: milliseconds since 1970 (was "1732788930123")`}, "",
		},
		"Data and data_base64 in other letters": {
			`"Data_Base64":"AQI="`, []string{"leatrepaired", "data_base64: renamed from Data_Base64"}, "\x01\x02",
		},
		"dataBase64": {`"dataBase64":"AQI="`, []string{"leatrepaired", "data_base64: renamed from dataBase64"}, "\x01\x02"},
		"Azure Event Grid": {
			`"dataschema":"#","subject":"","data":null`,
			[]string{"leatrepaired", `subject: empty, removed; dataschema: names no schema, removed (was "#")`}, "null",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := checkRepaired(t, inJSON(c.more), c.want...)
			assert.Equal(t, c.data, e.DataString())
		})
	}
}

// TestTypesOfExtensionsStay is about Booleans and Integers beside what is repaired.
func TestTypesOfExtensionsStay(t *testing.T) {
	t.Parallel()
	e, err := foreign.Lenient(nil)(inJSON(`"flag":true,"n":5,"subject":""`))
	require.NoError(t, err)
	flag, _ := e.Extension("flag")
	n, _ := e.Extension("n")
	assert.Equal(t, true, flag)
	assert.Equal(t, int32(5), n)
}

// TestSpec03 has events of CloudEvents 0.3.
func TestSpec03(t *testing.T) {
	t.Parallel()
	const version = `specversion: read as 1.0 (was "0.3")`
	for name, c := range map[string]struct {
		members string
		want    []string
		data    string
	}{
		"schemaurl": {`"schemaurl":"urn:s"`, []string{"dataschema", "urn:s",
			"leatrepaired", version + "; dataschema: was schemaurl in CloudEvents 0.3"}, ""},
		"a relative schemaurl": {`"schemaurl":"/s"`, []string{"schemaurl", "/s", "leatrepaired", version}, ""},
		"an encoding": {`"datacontenttype":"image/png","datacontentencoding":"Base64","data":"AP\r\n8="`, []string{
			"datacontenttype", "image/png", "leatrepaired",
			version + `; datacontentencoding: of CloudEvents 0.3, removed (was "Base64"); data: base64 of CloudEvents 0.3, decoded`}, "\x00\xff"},
		"an encoding of JSON": {`"datacontentencoding":"base64","data":"e30="`, []string{"leatrepaired",
			version + `; datacontentencoding: of CloudEvents 0.3, removed (was "base64"); data: base64 of CloudEvents 0.3, decoded`}, "{}"},
		"an encoding that means nothing": {`"datacontentencoding":"base64","data":{"a":1}`, []string{"leatrepaired",
			version + `; datacontentencoding: of CloudEvents 0.3, removed (was "base64")`}, `{"a":1}`},
		"binary data by its content type": {`"datacontenttype":"application/vnd.apache.thrift.binary","data":"AP8="`,
			[]string{"datacontenttype", "application/vnd.apache.thrift.binary", "leatrepaired",
				version + `; data: base64 of CloudEvents 0.3, decoded`}, "\x00\xff"},
		"text that looks like base64": {`"datacontenttype":"text/xml","data":"AP8="`, []string{
			"datacontenttype", "text/xml", "leatrepaired", version}, "AP8="},
		"binary data that is not base64": {`"datacontenttype":"image/x","data":"<x>"`, []string{
			"datacontenttype", "image/x", "leatrepaired", version}, "<x>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := inJSON(c.members)
			m.Body = []byte(strings.Replace(string(m.Body), "1.0", "0.3", 1))
			e := checkRepaired(t, m, c.want...)
			assert.Equal(t, c.data, e.DataString())
		})
	}
	m := spellings()["Kafka"].inHeaders("datacontentencoding", "base64", "content-type", "image/png")
	m.Headers[0].Value, m.Body = []byte("0.3"), []byte("AP8=")
	e := checkRepaired(t, m, "datacontenttype", "image/png", "leatrepaired",
		version+`; datacontentencoding: of CloudEvents 0.3, removed (was "base64"); data: base64 of CloudEvents 0.3, decoded`)
	assert.Equal(t, "\x00\xff", e.DataString())
}
