// Package params reads the parameters of a broker URL for an adapter, and reports every one that is wrong:
//
//	p := params.FromURL(u)
//	prefetch := p.Int("prefetch", 100, 1, 65_535)
//	timeout := p.Duration("timeout", 10*time.Second, 0, time.Hour)
//	mode := p.Enum("mode", "binary", "binary", "structured")
//	if err := p.Err(); err != nil {
//		return nil, &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
//	}
//
// Its errors have the names and ranges that the adapter gave, and nothing of the URL: what looks like a parameter may be a piece of a
// password, and a value may be one.
package params

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/secrets"
)

// Reader reads parameters. What it was asked for is what it knows: [Reader.Err] reports all others, so that no list of names has to be
// kept beside the code. Ask for all parameters before Err, also for those that only matter beside another. It is not safe for
// concurrent use.
type Reader struct {
	given   []parameter
	known   []string
	renamed map[string]string // new names by old ones
	wrong   []string
}

// parameter is a name with its value, in the order of the URL.
type parameter struct{ name, value string }

// FromURL returns a Reader of u's query.
func FromURL(u *url.URL) *Reader {
	r := &Reader{renamed: map[string]string{}}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, err := url.QueryUnescape(rawValue)
		if errors.Join(nameErr, err) != nil || strings.Contains(pair, ";") {
			r.wrong = append(r.wrong, "the URL's parameters cannot be parsed; separate them by '&' and percent-encode their values")
			break
		}
		r.given = append(r.given, parameter{name, value})
	}
	return r
}

// Renamed says that a parameter has another name than it once had, for its error.
func (r *Reader) Renamed(was, name string) { r.renamed[was] = name }

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
		r.reject(name, fmt.Sprintf("write a number from %d to %d", lowest, highest))
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
		r.reject(name, fmt.Sprintf("write a duration with its unit, such as 500ms or 10s, from %v to %v", lowest, highest))
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
	r.reject(name, "write true or false")
	return fallback
}

// Enum returns the parameter, one of allowed, or fallback where it is not given or wrong.
func (r *Reader) Enum(name, fallback string, allowed ...string) string {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	if !slices.Contains(allowed, value) {
		r.reject(name, "write one of "+strings.Join(allowed, ", "))
		return fallback
	}
	return value
}

// Err returns one error, of one line, for everything that is wrong: values, parameters that are given twice, and parameters that were
// not asked for, with those that were. It is nil where nothing is.
func (r *Reader) Err() error {
	wrong := slices.Clone(r.wrong)
	slices.Sort(r.known)
	r.known = slices.Compact(r.known)
	if unknown := r.unknown(); len(unknown) > 0 {
		wrong = append(wrong, unknown[:min(len(unknown), mostUnknown)]...)
		if more := len(unknown) - mostUnknown; more > 0 {
			wrong = append(wrong, fmt.Sprintf("so are %d more", more))
		}
		if len(r.known) > 0 {
			wrong = append(wrong, "there are "+strings.Join(r.known, ", "))
		} else {
			wrong = append(wrong, "there are none")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return secrets.Text(strings.Join(wrong, "; "))
}

// mostUnknown is how many unknown parameters an error lists.
const mostUnknown = 5

// unknown returns what to say of each parameter that was not asked for. It counts parameters instead of naming them.
func (r *Reader) unknown() (texts []string) {
	for i, p := range r.given {
		if slices.Contains(r.known, p.name) {
			continue
		}
		if name := r.renamed[p.name]; name != "" {
			texts = append(texts, fmt.Sprintf("parameter %s is now called %s", p.name, name)) // both names are the adapter's
			continue
		}
		text := fmt.Sprintf("parameter number %d is unknown", i+1)
		if name := nearest(p.name, r.known); name != "" {
			text += " (did you mean " + name + "?)"
		}
		texts = append(texts, text)
	}
	return texts
}

// get returns the value of a parameter, and whether it is given.
func (r *Reader) get(name string) (string, bool) {
	again := slices.Contains(r.known, name)
	r.known = append(r.known, name)
	value, times := "", 0
	for _, p := range r.given {
		if p.name == name {
			if times++; times == 1 {
				value = p.value
			}
		}
	}
	if times > 1 && !again {
		r.wrong = append(r.wrong, fmt.Sprintf("parameter %s is given %d times", name, times))
	}
	return value, times > 0
}

func (r *Reader) reject(name, advice string) {
	r.wrong = append(r.wrong, fmt.Sprintf("parameter %s is wrong; %s", name, advice))
}
