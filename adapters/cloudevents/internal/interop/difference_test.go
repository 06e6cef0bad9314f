package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// difference is a way in which the SDK, v2.16.2, and Leat do not do the same. docs/cloudevents.md
// says what each is about, under its id.
type difference struct {
	id   string
	spec string // the section that says who is right
	json string // a JSON text that shows it, where that is where it is
	head string // lines of Kafka headers that show it
	body string // the value beside them
}

const (
	minimal   = `{"specversion":"1.0","id":"1","source":"/s","type":"t"`
	minimalCE = "ce_specversion=1.0\nce_id=1\nce_source=/s\nce_type=t\n"
)

// differences is the table. What a fuzz target finds must be one of these, or it fails.
var differences = []difference{
	// The SDK changes what it reads.
	{id: "uri-rewritten", spec: "Type System: URI-reference", json: minimal + `,"dataschema":"HTTP://EX/"}`},
	{id: "dataschema-dropped", spec: "Optional Attributes: dataschema", json: minimal + `,"dataschema":"http://a%41/"}`},
	{id: "time-in-utc", spec: "Optional Attributes: time", json: minimal + `,"time":"2026-01-02T03:04:05.10+02:00"}`},
	{id: "trimmed", spec: "Type System: String", head: minimalCE + "ce_subject= x "},
	{id: "blank-dropped", spec: "Type System: String", head: minimalCE + "ce_subject= "},
	{id: "zero-time-dropped", spec: "Optional Attributes: time", head: minimalCE + "ce_time=0001-01-01T00:00:00Z"},
	{id: "empty-data-dropped", spec: "Kafka binding §3.2.2", head: minimalCE},
	{id: "kafka-extensions", spec: "Kafka binding §3.2.3", head: minimalCE},
	{id: "null-header", spec: "Kafka binding §3.2.3", head: minimalCE + "ce_x"},
	{id: "null-data", spec: "JSON format §2.2", json: minimal + `,"datacontenttype":"text/plain","data":null}`},
	{id: "data-white-space", spec: "JSON format §3.1.2", json: minimal + `,"data": 1}`},
	{id: "json-subtype", spec: "JSON format §3.1", json: minimal + `,"datacontenttype":"a/b+json","data":"x"}`},
	{id: "base64-null", spec: "JSON format §2.2", json: minimal + `,"data_base64":null}`},
	// The SDK refuses what is valid.
	{id: "base64-escape", spec: "RFC 8259 §7", json: minimal + `,"data_base64":"\/w=="}`},
	{id: "uri-unread", spec: "Type System: URI-reference", json: `{"specversion":"1.0","id":"1","source":"//a%41/","type":"t"}`},
	{id: "time-unread", spec: "RFC 3339 §5.6", json: minimal + `,"time":"2016-12-31t23:59:60z"}`},
	{id: "blank-refused", spec: "Type System: String", json: `{"specversion":"1.0","id":" ","source":"/s","type":"t"}`},
	{id: "media-type-refused", spec: "Optional Attributes: datacontenttype", json: minimal + `,"datacontenttype":"a/b;c=1;c=2"}`},
	{id: "crash", spec: "JSON format §3.1", json: minimal + `,"data_base64":1}`},
	// The SDK takes what is not valid.
	{id: "invalid-json", spec: "RFC 8259 §2", json: minimal + `} x`},
	{id: "invalid-utf8", spec: "RFC 8259 §8.1", json: minimal + `,"x":"` + "\xff" + `"}`},
	{id: "surrogate-half", spec: "RFC 8259 §8.2", json: minimal + `,"x":"\ud800"}`},
	{id: "member-twice", spec: "Naming Conventions", json: minimal + `,"x":1,"x":2}`},
	{id: "header-twice", spec: "Naming Conventions", head: minimalCE + "ce_id=2"},
	{id: "two-content-types", spec: "Kafka binding §3.2.1", head: minimalCE + "ce_datacontenttype=a/b\ncontent-type=c/d"},
	{id: "string-rules", spec: "Type System: String", json: minimal + `,"x":"\u0000"}`},
	{id: "attribute-types", spec: "JSON format §2.2", json: minimal + `,"x":1.5}`},
	{id: "empty-attribute", spec: "Optional Attributes", json: minimal + `,"subject":""}`},
	{id: "name-rules", spec: "Naming Conventions", json: minimal + `,"X":1}`},
	{id: "uri-rules", spec: "Type System: URI-reference", json: `{"specversion":"1.0","id":"1","source":"a b","type":"t"}`},
	{id: "dataschema-fragment", spec: "Type System: URI", json: minimal + `,"dataschema":"urn:x#y"}`},
	{id: "media-type-rules", spec: "Optional Attributes: datacontenttype", json: minimal + `,"datacontenttype":"garbage"}`},
	{id: "time-rules", spec: "RFC 3339 §5.6", json: minimal + `,"time":"2026-01-02T03:04:05,5Z"}`},
	{id: "two-data-members", spec: "JSON format §3.1", json: minimal + `,"data":1,"data_base64":"AA=="}`},
	{id: "base64-rules", spec: "JSON format §3.1.2", json: minimal + `,"data_base64":"AB=="}`},
	{id: "version-0.3", spec: "Required Attributes: specversion", json: `{"specversion":"0.3","id":"1","source":"/s","type":"t"}`},
	{id: "other-formats", spec: "Kafka binding §3", head: minimalCE + "content-type=application/cloudevents+xml"},
	// Leat takes more than it must, or has a limit.
	{id: "data-not-string", spec: "JSON format §3.1.2", json: minimal + `,"datacontenttype":"text/plain","data":1}`},
	{id: "bare-content-type", spec: "Kafka binding §3", head: "content-type=application/cloudevents", body: minimal + "}"},
	{id: "limits", spec: "Size Limits", json: minimal + `,"data":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`},
}

// TestEveryDifferenceIsDocumented holds the table against the one that people read.
func TestEveryDifferenceIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.FromSlash("../../../../docs/cloudevents.md"))
	require.NoError(t, err)
	var documented []string
	for line := range strings.Lines(string(text)) {
		if after, ok := strings.CutPrefix(line, "| `difference:"); ok {
			id, _, _ := strings.Cut(after, "`")
			documented = append(documented, id)
		}
	}
	var known []string
	for _, d := range differences {
		known = append(known, d.id)
	}
	slices.Sort(known)
	slices.Sort(documented)
	require.Equal(t, known, documented)
}

// TestEveryDifferenceIsThere: none is in the table that is not, or no more, one.
func TestEveryDifferenceIsThere(t *testing.T) {
	t.Parallel()
	for _, d := range differences {
		t.Run(d.id, func(t *testing.T) {
			t.Parallel()
			var found findings
			if d.json != "" {
				found = compareJSON(t, []byte(d.json))
			} else {
				found = compareRecord(t, headersFrom([]byte(d.head)), []byte(d.body))
			}
			require.Contains(t, found, d.id)
		})
	}
}
