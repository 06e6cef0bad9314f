package schema

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// uris writes and reads the attribute dataschema: the base, the subject and the version, as in
// https://schemas.example.com/subjects/orders/versions/3. That is the path of Confluent's REST API,
// and that of an xRegistry with a base that ends with /schemas. Nobody fetches it.
type uris struct{ base string }

const (
	versionsPart = "/versions/"
	guidsPart    = "guids/"
)

func newURIs(base string) (uris, error) {
	base = strings.TrimSuffix(base, "/")
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "" || u.Fragment != "" || u.RawQuery != "" || u.User != nil {
		return uris{}, errors.New("EnforcerOptions.Base is not an absolute URI, or has a query, a fragment or a user; " +
			"use one such as https://schemas.example.com/subjects")
	}
	return uris{base + "/"}, nil
}

func (u uris) of(r Ref) string {
	return u.base + url.PathEscape(r.Subject) + versionsPart + strconv.Itoa(r.Version)
}

// ofGUID returns the dataschema of an event of which only the GUID of its schema is known. No
// version has the same, since it does not end with one.
func (u uris) ofGUID(guid string) string { return u.base + guidsPart + guid }

// guid returns the GUID in a dataschema, or "".
func (u uris) guid(dataschema string) string {
	rest, ok := strings.CutPrefix(dataschema, u.base)
	if guid, isOne := strings.CutPrefix(rest, guidsPart); ok && isOne && isGUID(guid) {
		return guid
	}
	return ""
}

// ref returns what a dataschema names. It is false for a URI that does not begin with the base, and
// for one that of does not write.
func (u uris) ref(dataschema string) (Ref, bool) {
	rest, ok := strings.CutPrefix(dataschema, u.base)
	if !ok {
		return Ref{}, false
	}
	i := strings.LastIndex(rest, versionsPart)
	if i < 0 {
		return Ref{}, false
	}
	subject, err := url.PathUnescape(rest[:i])
	version, ok := versionOf(rest[i+len(versionsPart):])
	r := Ref{subject, version}
	if err != nil || !ok || subjectFault(subject) != nil || strings.Contains(rest, "%") && u.of(r) != dataschema {
		return Ref{}, false
	}
	return r, true
}
