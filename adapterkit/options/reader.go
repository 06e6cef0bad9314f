package options

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat/internal/hostlist"
)

// Reader reads a broker URL. A parameter that the adapter asks for is known; [Reader.Err] reports
// all others, so that a typing slip does not pass for a setting. Ask for all parameters before Err,
// also for those that only matter together with another. A Reader is not safe for concurrent use.
type Reader struct {
	url       *url.URL
	given     []parameter
	known     []string
	renamed   map[string]string // new names by old ones
	wrong     []string          // with parts of the URL and values of parameters
	conflicts []string          // between them
}

// parameter is a name with its value, in the order of the URL.
type parameter struct{ name, value string }

// NewReader returns a Reader of u, whose Host may be a list, as [leat.Opener] says.
func NewReader(u *url.URL) *Reader {
	r := &Reader{url: u, renamed: map[string]string{}}
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

// Wrong reports what is wrong with the URL as a whole: parameters that contradict each other, or a
// part that the adapter has no use for. The same reason counts once.
func (r *Reader) Wrong(why Reason) {
	if !slices.Contains(r.conflicts, string(why)) {
		r.conflicts = append(r.conflicts, string(why))
	}
}

// Hosts returns the addresses of the URL, each with or without a port. At least one is needed.
func (r *Reader) Hosts() []string {
	addresses, err := hostlist.Split(r.url.Host)
	if err != nil {
		r.wrong = append(r.wrong, err.Error())
	}
	return addresses
}

// NoPath reports a path, and says why there is none.
func (r *Reader) NoPath(why Reason) {
	if strings.Trim(r.url.Path, "/") != "" {
		r.Wrong(why)
	}
}

// URL returns the URL, for what the Reader has no method for.
func (r *Reader) URL() *url.URL { return r.url }

// Renamed says that a parameter once had another name: the error for the old name says the new one.
// A name without its underscores, such as bufferbytes, needs no such call.
func (r *Reader) Renamed(was, name string) { r.renamed[was] = name }

// String returns the parameter, or fallback where it is not given. An empty parameter counts as
// given.
func (r *Reader) String(name, fallback string) string {
	if value, ok := r.get(name); ok {
		return value
	}
	return fallback
}

// integer returns the parameter as a decimal number from lowest to highest, or fallback where it is
// not given or wrong.
func (r *Reader) integer(name string, fallback, lowest, highest int64) int64 {
	value, ok := r.get(name)
	if !ok {
		return fallback
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < lowest || n > highest {
		r.reject(name, fmt.Sprintf("write a number from %d to %d", lowest, highest))
		return fallback
	}
	return n
}

// Duration returns the parameter as a duration with its unit, such as "10s", from lowest to
// highest, or fallback where it is not given or wrong.
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

// Bool returns the parameter, "true" or "false", or fallback where it is not given or wrong. A
// parameter without a value is true.
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

// Err returns one [Reason], of one line, for everything that is wrong: values, parameters that are
// given twice, parameters that were not asked for, with those that were, and what [Reader.Wrong]
// reported. It is nil where nothing is.
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
	if wrong = append(wrong, r.conflicts...); len(wrong) == 0 {
		return nil
	}
	return Reason(strings.Join(wrong, "; "))
}

// mostUnknown is how many unknown parameters an error lists.
const mostUnknown = 5

// unknown returns what to say of each parameter that was not asked for. It counts parameters
// instead of naming them.
func (r *Reader) unknown() (texts []string) {
	for i, p := range r.given {
		if slices.Contains(r.known, p.name) {
			continue
		}
		if name := r.newName(p.name); name != "" {
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

// newName returns what a parameter is called that has an older name, or the name without its
// underscores.
func (r *Reader) newName(old string) string {
	if name := r.renamed[old]; name != "" {
		return name
	}
	for _, name := range r.known {
		if old == strings.ReplaceAll(name, "_", "") {
			return name
		}
	}
	return ""
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
