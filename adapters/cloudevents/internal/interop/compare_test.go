package interop_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/leatgo/leat"
)

// findings are the ids of the differences that a comparison met.
type findings map[string]bool

func (f findings) note(id string) bool {
	if !slices.ContainsFunc(differences, func(d difference) bool { return d.id == id }) {
		return false
	}
	f[id] = true
	return true
}

// reading is what both made of the same bytes.
type reading struct {
	t      testing.TB
	input  string // what was read, for people
	found  findings
	ours   leat.Event
	err    error
	theirs *event.Event // nil when the SDK refused
	refuse error        // why
	crash  any          // what it panicked with

	members []member // of a JSON object, as an independent reader sees them
	json    bool     // it is JSON that was read
	media   []string // the headers content-type of a record
}

// fatal fails the test: nothing explains what was seen.
func (r *reading) fatal(what string) {
	r.t.Helper()
	theirs := "refused"
	if r.theirs != nil {
		theirs = fmt.Sprintf("%q data %q", view(r.theirs), r.theirs.DataEncoded)
	}
	r.t.Fatalf("a difference that is not in the table: %s\ninput:  %q\nours:   %q data %q, %v\ntheirs: %s, %v, %v",
		what, r.input, maps.Collect(r.ours.Attributes()), r.ours.DataString(), r.err, theirs, r.refuse, r.crash)
}

func (r *reading) note(id string) {
	r.t.Helper()
	if !r.found.note(id) {
		r.fatal("unknown id " + id)
	}
}

// judge explains the reading, or fails.
func (r *reading) judge() {
	r.t.Helper()
	switch {
	case r.crash != nil:
		r.note("crash")
	case r.err == nil && r.theirs != nil:
		r.judgeBoth()
	case r.err == nil:
		r.judgeTheirRefusal()
	case r.theirs != nil:
		r.judgeOurRefusal()
	}
}

// view returns the attributes of an event of the SDK as text, those that are set.
func view(e *event.Event) map[string]string {
	v := map[string]string{"specversion": e.SpecVersion()}
	for name, value := range map[string]string{
		"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(), "datacontenttype": e.DataContentType(),
		"dataschema": e.DataSchema(),
	} {
		if value != "" {
			v[name] = value
		}
	}
	if ec, ok := e.Context.(*event.EventContextV1); ok && ec.Time != nil {
		v["time"] = ec.Time.Format(time.RFC3339Nano)
	}
	for name, value := range e.Extensions() {
		text, err := types.Format(value)
		if err != nil {
			text = fmt.Sprintf("%T: %v", value, err)
		}
		v[name] = text
	}
	return v
}

// judgeBoth explains what differs in two events of the same bytes.
func (r *reading) judgeBoth() {
	r.t.Helper()
	ours, theirs := maps.Collect(r.ours.Attributes()), view(r.theirs)
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		o, hasOurs := ours[name]
		s, hasTheirs := theirs[name]
		switch {
		case hasOurs == hasTheirs && o == s:
		case hasOurs && name == "time":
			r.judgeTime(o, s, hasTheirs)
		case hasOurs && (name == "source" || name == "dataschema"):
			r.judgeURI(name, o, s)
		case hasOurs && hasTheirs && strings.TrimSpace(o) == s:
			r.note("trimmed")
		case hasOurs && !hasTheirs && strings.TrimSpace(o) == "":
			r.note("blank-dropped")
		case !hasOurs && s == "" && !r.json:
			r.note("null-header")
		case hasTheirs && !r.json && slices.Contains([]string{"kafkaoffset", "kafkapartition", "kafkatopic"}, name):
			r.note("kafka-extensions")
		default:
			r.fatal("attribute " + name)
		}
	}
	r.judgeData()
}

func (r *reading) judgeTime(ours, theirs string, has bool) {
	r.t.Helper()
	t, err := time.Parse(time.RFC3339Nano, theirs)
	switch {
	case !has && r.ours.Time().IsZero():
		r.note("zero-time-dropped")
	case has && err == nil && t.Equal(r.ours.Time()):
		r.note("time-in-utc")
	default:
		r.fatal("time " + ours)
	}
}

func (r *reading) judgeURI(name, ours, theirs string) {
	r.t.Helper()
	u, err := url.Parse(ours)
	switch {
	case err != nil && name == "dataschema" && theirs == "":
		r.note("dataschema-dropped")
	case err == nil && u.String() == theirs:
		r.note("uri-rewritten")
	default:
		r.fatal(name)
	}
}

func (r *reading) judgeData() {
	r.t.Helper()
	ours, theirs := r.ours.Data(), r.theirs.DataEncoded
	if bytes.Equal(ours, theirs) && (ours == nil) == (theirs == nil) {
		return
	}
	raw, _ := r.member("data")
	switch {
	case !r.json && len(ours) == 0 && theirs == nil:
		r.note("empty-data-dropped")
	case string(raw) == "null" && ours == nil && len(theirs) == 0:
		r.note("null-data")
	case ours == nil && r.isNull("data_base64"):
		r.note("base64-null")
	case bytes.Equal(bytes.Trim(theirs, " \t\r\n"), ours):
		r.note("data-white-space")
	case bytes.Equal(ours, raw) && r.jsonForUsOnly():
		r.note("json-subtype")
	default:
		r.fatal("data")
	}
}

// isJSONType reports whether the content type is one of JSON.
func (r *reading) isJSONType() bool {
	_, sub, _ := strings.Cut(strings.ToLower(r.mediaType()), "/")
	return r.mediaType() == "" || sub == "json" || strings.HasSuffix(sub, "+json")
}

func (r *reading) mediaType() string {
	media, _, _ := strings.Cut(r.ours.DataContentType(), ";")
	return strings.TrimSpace(media)
}

// jsonForUsOnly reports whether the content type is one of JSON that the SDK does not know as such.
func (r *reading) jsonForUsOnly() bool {
	known := []string{"", "application/json", "text/json", "application/cloudevents+json", "application/cloudevents-batch+json"}
	return r.isJSONType() && !slices.Contains(known, r.mediaType())
}

// judgeTheirRefusal explains why the SDK refuses what Leat takes.
func (r *reading) judgeTheirRefusal() {
	r.t.Helper()
	e := r.ours
	raw, hasData := r.member("data")
	encoded, hasBase64 := r.member("data_base64")
	_, sourceErr := url.Parse(e.Source())
	_, timeErr := time.Parse(time.RFC3339Nano, e.TimeString())
	_, _, mediaErr := mime.ParseMediaType(strings.TrimSpace(e.DataContentType()))
	_, schemaErr := url.Parse(strings.TrimSpace(e.DataSchema()))
	blank := slices.ContainsFunc([]string{e.ID(), e.Type(), e.Subject()}, func(s string) bool {
		return s != "" && strings.TrimSpace(s) == ""
	})
	switch {
	case sourceErr != nil, !r.json && schemaErr != nil:
		r.note("uri-unread")
	case e.Source() == "#", rewrittenToNothing(e.Source()):
		r.note("uri-rewritten")
	case e.TimeString() != "" && timeErr != nil:
		r.note("time-unread")
	case blank:
		r.note("blank-refused")
	case hasData && raw[0] != '"' && r.jsonForUsOnly():
		r.note("json-subtype")
	case hasData && raw[0] != '"' && string(raw) != "null" && !r.jsonForUsOnly():
		r.note("data-not-string")
	case hasBase64 && string(encoded) == "null":
		r.note("base64-null")
	case hasBase64 && bytes.ContainsRune(encoded, '\\'):
		r.note("base64-escape")
	case mediaErr != nil && e.DataContentType() != "":
		r.note("media-type-refused")
	case r.bareContentType():
		r.note("bare-content-type")
	default:
		r.fatal("the SDK refuses it")
	}
}

// rewrittenToNothing reports whether net/url makes an empty text of a URI-reference.
func rewrittenToNothing(text string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.TrimSpace(u.String()) == ""
}

// bareContentType reports whether the record is in structured mode without saying in which format.
func (r *reading) bareContentType() bool {
	if len(r.media) != 1 {
		return false
	}
	media, _, _ := strings.Cut(strings.ToLower(r.media[0]), ";")
	return strings.TrimSpace(media) == "application/cloudevents"
}

// refusals are Leat's rules, by how their text begins, with the difference that each is.
var refusals = []struct{ rule, id string }{
	{"is there twice", "member-twice"},
	{"has a control character", "string-rules"}, {"has a Unicode noncharacter", "string-rules"}, {"is not valid UTF-8", "string-rules"},
	{"is a number with a fraction", "attribute-types"}, {"is outside of the 32 bits", "attribute-types"},
	{"is an object or array", "attribute-types"}, {"is no JSON string", "attribute-types"}, {"is empty", "empty-attribute"},
	{"has a name with something other", "name-rules"}, {"has a reserved name", "name-rules"}, {"has no name", "name-rules"},
	{"has a ':' in its first segment", "uri-rules"}, {"has a '%' without", "uri-rules"}, {"has a character", "uri-rules"},
	{"has two '@'", "uri-rules"}, {"has a '['", "uri-rules"}, {"has something other than a port", "uri-rules"},
	{"has a port that", "uri-rules"}, {"is not absolute", "uri-rules"}, {"has a fragment", "dataschema-fragment"},
	{"is no media type", "media-type-rules"}, {"is no RFC 3339", "time-rules"}, {"is there beside data", "two-data-members"},
	{"is not base64", "base64-rules"}, {"is no string", "base64-rules"}, {`is not "1.0"`, "version-0.3"},
	{"has half of a surrogate", "surrogate-half"}, {"has a name longer", "limits"}, {"has more than 80", "limits"},
}

// judgeOurRefusal explains why Leat refuses what the SDK takes. That the rule is broken must be
// seen by other means.
func (r *reading) judgeOurRefusal() {
	r.t.Helper()
	a, ok := errors.AsType[*leat.AttributeError](r.err)
	if !ok {
		r.judgeForm()
		return
	}
	i := slices.IndexFunc(refusals, func(x struct{ rule, id string }) bool { return strings.HasPrefix(a.Rule, x.rule) })
	if i < 0 {
		r.fatal("our rule is in no list: " + a.Rule)
	}
	id := refusals[i].id
	if !r.isBroken(id, a) {
		r.fatal("nothing but Leat says that the rule is broken: " + a.Error())
	}
	if id == "member-twice" && !r.json {
		id = "header-twice"
	}
	r.note(id)
}

// uriReference is appendix B of RFC 3986 with the characters of its appendix A.
var uriReference = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*:|)(//([A-Za-z0-9._~!$&'()*+,;=:%-]*@)?(\[[A-Za-z0-9:._~!$&'()*+,;=-]*\]|` +
	`[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?)?([A-Za-z0-9._~!$&'()*+,;=:@%/-]*)(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?` +
	`(#[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$`)

var badPercent = regexp.MustCompile(`%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)`)

// mediaType is RFC 9110 §8.3.1 and §5.6.6, which, unlike RFC 822, have no space around '='.
var mediaType = regexp.MustCompile(strings.ReplaceAll(`^T/T( *;( *T=(T|"([^"\\]|\\.)*"))?)* *$`, "T", "[A-Za-z0-9!#$%&'*+.^_`|{}~-]+"))

// isURIReference is RFC 3986 by regular expression.
func isURIReference(text string) bool {
	match := uriReference.FindStringSubmatch(text)
	if match == nil || badPercent.MatchString(text) {
		return false
	}
	scheme, authority, path := match[1], match[2], match[6]
	first, _, _ := strings.Cut(path, "/")
	switch {
	case authority != "":
		return path == "" || strings.HasPrefix(path, "/")
	case scheme == "" && strings.Contains(first, ":"):
		return false
	}
	return !strings.HasPrefix(path, "//")
}

// isBroken looks at the value by other means than Leat's.
func (r *reading) isBroken(id string, a *leat.AttributeError) bool {
	text, has := r.text(a.Name)
	switch id {
	case "member-twice":
		return r.count(a.Name) > 1
	case "string-rules":
		return has && (!utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool {
			return unicode.IsControl(c) || c&0xfffe == 0xfffe || 0xfdd0 <= c && c <= 0xfdef
		}))
	case "empty-attribute":
		return has && text == ""
	case "uri-rules":
		return has && (!isURIReference(text) || a.Name == "dataschema" && uriReference.FindStringSubmatch(text)[1] == "")
	case "dataschema-fragment":
		return has && strings.Contains(text, "#")
	case "name-rules":
		return a.Name == "data" || !regexp.MustCompile("^[a-z0-9]+$").MatchString(a.Name)
	case "time-rules":
		_, err := time.Parse(time.RFC3339, text)
		strict := regexp.MustCompile(`^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$`)
		return has && (err != nil || !strict.MatchString(text))
	case "two-data-members":
		return r.count("data")+r.count("data_base64") > 1
	case "base64-rules":
		b, err := base64.StdEncoding.DecodeString(text)
		return !has || err != nil || base64.StdEncoding.EncodeToString(b) != text
	case "version-0.3":
		return text == "0.3"
	case "attribute-types":
		return r.json && r.hasOtherType(a.Name)
	case "media-type-rules":
		return has && !mediaType.MatchString(text)
	case "surrogate-half":
		return strings.Contains(r.input, `\u`)
	case "limits":
		return len(r.members) > 80 || strings.HasSuffix(a.Name, "...")
	}
	return false
}

// hasOtherType reports whether a member of that name is neither text nor null, true, false, or an
// integer of 32 bits.
func (r *reading) hasOtherType(name string) bool {
	return slices.ContainsFunc(r.members, func(m member) bool {
		if m.name != name {
			return false
		}
		_, err := strconv.ParseInt(string(m.raw), 10, 32)
		core := slices.Contains([]string{"id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "specversion"}, name)
		return m.raw[0] != '"' && (core || err != nil && !slices.Contains([]string{"null", "true", "false"}, string(m.raw)))
	})
}

// judgeForm explains why Leat refuses the form of the bytes.
func (r *reading) judgeForm() {
	r.t.Helper()
	reason := r.err.Error()
	switch {
	case !r.json && strings.Contains(reason, "is there twice"):
		r.note("header-twice")
	case strings.Contains(reason, "contradict"):
		r.note("two-content-types")
	case strings.Contains(reason, "a format other than JSON"), strings.Contains(reason, "is a batch"):
		r.note("other-formats")
	case strings.Contains(reason, "more than 128 headers"), strings.Contains(reason, "levels"):
		r.note("limits")
	case !utf8.ValidString(r.body()):
		r.note("invalid-utf8")
	case strings.Contains(reason, "surrogate"):
		r.note("surrogate-half")
	case !json.Valid([]byte(r.body())):
		r.note("invalid-json")
	default:
		r.fatal("our refusal")
	}
}

// body is the JSON that was read.
func (r *reading) body() string { return r.input }

// member is one of a JSON object, or a header.
type member struct {
	name string
	raw  json.RawMessage
}

func (r *reading) member(name string) (json.RawMessage, bool) {
	for _, m := range r.members {
		if m.name == name {
			return m.raw, true
		}
	}
	return nil, false
}

func (r *reading) isNull(name string) bool {
	raw, _ := r.member(name)
	return string(raw) == "null"
}

func (r *reading) count(name string) (n int) {
	for _, m := range r.members {
		if m.name == name {
			n++
		}
	}
	return n
}

// text returns the value of the last member of that name that is text.
func (r *reading) text(name string) (text string, ok bool) {
	for _, m := range r.members {
		if m.name != name {
			continue
		}
		if !r.json {
			text, ok = string(m.raw), true
		} else if json.Unmarshal(m.raw, &text) == nil {
			ok = true
		}
	}
	return text, ok
}

// membersOf reads an object with encoding/json, duplicates included. What is no object has none.
func membersOf(text []byte) (all []member) {
	d := json.NewDecoder(bytes.NewReader(text))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return all
		}
		m := member{name: fmt.Sprint(name)}
		if err := d.Decode(&m.raw); err != nil {
			return all
		}
		all = append(all, m)
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		return all
	}
	return all
}
