package awsstub

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// problem is an error as AWS answers it.
type problem struct {
	code, message string
	status        int
}

func (p *problem) Error() string { return p.code + ": " + p.message }

// invalid is an error of the sender.
func invalid(code, message string) *problem { return &problem{code, message, http.StatusBadRequest} }

func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return &problem{"InternalError", err.Error(), http.StatusInternalServerError}
}

// sender says whether an error is the sender's fault.
func (p *problem) sender() bool { return p.status < http.StatusInternalServerError }

// queryCodes are the codes of SQS's older protocol, which the JSON protocol has in a header.
var queryCodes = map[string]string{
	"QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue", "QueueNameExists": "QueueAlreadyExists",
	"QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently", "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
	"BatchRequestTooLong":          "AWS.SimpleQueueService.BatchRequestTooLong",
	"TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
	"EmptyBatchRequest":            "AWS.SimpleQueueService.EmptyBatchRequest",
	"BatchEntryIdsNotDistinct":     "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
	"UnsupportedOperation":         "AWS.SimpleQueueService.UnsupportedOperation",
}

// answerer writes answers in one of the protocols.
type answerer interface {
	ok(w http.ResponseWriter, action string, out any)
	fail(w http.ResponseWriter, p *problem)
}

type jsonAnswer struct{}

func (jsonAnswer) ok(w http.ResponseWriter, _ string, out any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(out) //nolint:errchkjson // texts and numbers; the client may have gone
}

func (a jsonAnswer) fail(w http.ResponseWriter, p *problem) {
	code := p.code
	if q, ok := queryCodes[code]; ok {
		code = q
	}
	who := "Receiver"
	if p.sender() {
		who = "Sender"
	}
	w.Header().Set("X-Amzn-Query-Error", code+";"+who)
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(p.status)
	a.ok(w, "", map[string]string{"__type": "com.amazonaws.sqs#" + p.code, "message": p.message})
}

type xmlAnswer struct{}

const xmlns = `xmlns="http://sns.amazonaws.com/doc/2010-03-31/"`

func (xmlAnswer) ok(w http.ResponseWriter, action string, out any) {
	w.Header().Set("Content-Type", "text/xml")
	var result strings.Builder
	writeXML(&result, out)
	//nolint:gosec // for the SDK, and the result is escaped
	_, _ = fmt.Fprintf(w, "<%[1]sResponse %[2]s><%[1]sResult>%[3]s</%[1]sResult><ResponseMetadata><RequestId>stub</RequestId>"+
		"</ResponseMetadata></%[1]sResponse>", action, xmlns, result.String())
}

func (xmlAnswer) fail(w http.ResponseWriter, p *problem) {
	who := "Receiver"
	if p.sender() {
		who = "Sender"
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(p.status)
	var text strings.Builder
	writeXML(&text, fields{{"Type", who}, {"Code", p.code}, {"Message", p.message}})
	_, _ = fmt.Fprintf(w, "<ErrorResponse %s><Error>%s</Error><RequestId>stub</RequestId></ErrorResponse>", xmlns, text.String())
}

// fields are elements of XML, in order. A value is text, fields, or a list of members.
type fields []struct {
	name  string
	value any
}

func writeXML(b *strings.Builder, value any) {
	switch v := value.(type) {
	case string:
		_ = xml.EscapeText(b, []byte(v))
	case fields:
		for _, f := range v {
			b.WriteString("<" + f.name + ">")
			writeXML(b, f.value)
			b.WriteString("</" + f.name + ">")
		}
	case []fields:
		for _, member := range v {
			writeXML(b, fields{{"member", member}})
		}
	case map[string]string:
		for key, value := range v {
			writeXML(b, fields{{"entry", fields{{"key", key}, {"value", value}}}})
		}
	}
}

// values is a form whose names are paths: Attributes.entry.1.key.
type values map[string]string

func parseForm(body []byte) (values, error) {
	parsed, err := url.ParseQuery(string(body))
	form := values{}
	for name := range parsed {
		form[name] = parsed.Get(name)
	}
	return form, err
}

// list returns the elements of a list, each with the names beneath it.
func (v values) list(path string) []values {
	var all []values
	for i := 1; ; i++ {
		prefix := fmt.Sprintf("%s.%d.", path, i)
		one := values{}
		for name, value := range v {
			if rest, ok := strings.CutPrefix(name, prefix); ok {
				one[rest] = value
			}
		}
		if len(one) == 0 {
			return all
		}
		all = append(all, one)
	}
}

// table returns a map.
func (v values) table(path, key, value string) map[string]string {
	m := map[string]string{}
	for _, entry := range v.list(path) {
		m[entry[key]] = entry[value]
	}
	return m
}
