// Package params reads the parameters of a broker URL for an adapter, and reports every one that is wrong:
//
//	p := params.FromURL(u)
//	prefetch := p.Int("prefetch", 100, 1, 65_535)
//	timeout := p.Duration("timeout", 10*time.Second, 0, time.Hour)
//	mode := p.Enum("mode", "binary", "binary", "structured")
//	if err := p.Err(); err != nil {
//		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
//	}
package params

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reader reads parameters. What it was asked for is what it knows: [Reader.Err] reports all others, so that no list of names has to be
// kept beside the code. Ask for all parameters before Err, also for those that only matter beside another. It is not safe for
// concurrent use.
type Reader struct {
	values url.Values
	known  []string
	wrong  []error
}

// FromURL returns a Reader of u's query.
func FromURL(u *url.URL) *Reader {
	values, err := url.ParseQuery(u.RawQuery)
	r := New(values)
	if err != nil { // which quotes what may be a secret
		r.wrong = append(r.wrong, errors.New("the URL's parameters cannot be parsed; separate them by '&' and percent-encode their values"))
	}
	return r
}

// New returns a Reader of values.
func New(values url.Values) *Reader { return &Reader{values: values} }

// String returns the parameter, or fallback where it is not given. An empty one is given.
func (r *Reader) String(name, fallback string) string {
	if value, ok := r.get(name); ok {
		return value
	}
	return fallback
}

// Int returns the parameter as a decimal number from lowest to highest, or fallback where it is not given or wrong.
func (r *Reader) Int(name string, fallback, lowest, highest int) int {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < lowest || n > highest {
		r.reject(name, value, fmt.Sprintf("write a number from %d to %d", lowest, highest))
		return fallback
	}
	return n
}

// Duration returns the parameter as a duration with its unit, such as "10s", from lowest to highest, or fallback where it is not
// given or wrong.
func (r *Reader) Duration(name string, fallback, lowest, highest time.Duration) time.Duration {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < lowest || d > highest {
		r.reject(name, value, fmt.Sprintf("write a duration with its unit, such as 500ms or 10s, from %v to %v", lowest, highest))
		return fallback
	}
	return d
}

// Bool returns the parameter, "true" or "false", or fallback where it is not given or wrong. A parameter without a value is true.
func (r *Reader) Bool(name string, fallback bool) bool {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	switch value {
	case "true", "":
		return true
	case "false":
		return false
	}
	r.reject(name, value, "write true or false")
	return fallback
}

// Enum returns the parameter, one of allowed, or fallback where it is not given or wrong.
func (r *Reader) Enum(name, fallback string, allowed ...string) string {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	if !slices.Contains(allowed, value) {
		r.reject(name, value, "write one of "+strings.Join(allowed, ", "))
		return fallback
	}
	return value
}

// Err returns one error, of one line, that names everything that is wrong: values, parameters that are given twice, and parameters that
// were not asked for, with those that were. It is nil where nothing is.
func (r *Reader) Err() error {
	wrong := slices.Clone(r.wrong)
	slices.Sort(r.known)
	r.known = slices.Compact(r.known)
	var unknown []string
	for name := range r.values {
		if !slices.Contains(r.known, name) {
			unknown = append(unknown, quote(name))
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		known := "there are none"
		if len(r.known) > 0 {
			known = "there are " + strings.Join(r.known, ", ")
		}
		wrong = append(wrong, fmt.Errorf("no such parameter: %s; %s", strings.Join(unknown, ", "), known))
	}
	if len(wrong) == 0 {
		return nil
	}
	texts := make([]string, len(wrong))
	for i, err := range wrong {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// get returns the value of a parameter, and whether it is given.
func (r *Reader) get(name string) (string, bool) {
	r.known = append(r.known, name)
	values := r.values[name]
	if len(values) == 0 {
		return "", false
	}
	if len(values) > 1 {
		r.wrong = append(r.wrong, fmt.Errorf("parameter %s is given %d times", name, len(values)))
	}
	return values[0], true
}

func (r *Reader) reject(name, value, advice string) {
	r.wrong = append(r.wrong, fmt.Errorf("parameter %s is %s; %s", name, quote(value), advice))
}

// quote makes text from outside safe to print.
func quote(s string) string {
	const limit = 32
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "..."
	}
	return strconv.Quote(s)
}
