package options

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/hostlist"
	"github.com/leatgo/leat/internal/ranges"
	"github.com/leatgo/leat/internal/secrets"
)

// Table lists the options of an adapter. It points into one Options struct. Make it again for each
// copy of the struct. A field of another struct has a name such as SubscriberOptions.Buffer.
type Table []Option

// Option is one line of a [Table]. A constructor of this package makes it.
type Option struct {
	read  func(r *Reader) // nil where a URL cannot set the field
	fill  func()          // nil where the zero value needs no default
	check func() error    // nil where no value is wrong
}

// Read sets the fields that the URL has parameters for. What is wrong, [Reader.Err] reports.
func (t Table) Read(r *Reader) {
	for _, o := range t {
		if o.read != nil {
			o.read(r)
		}
	}
}

// Fill gives each field its default that has the zero value.
func (t Table) Fill() {
	for _, o := range t {
		if o.fill != nil {
			o.fill()
		}
	}
}

// Check returns what is wrong with the first field that is out of its range, as a [Reason]. Zero is
// never wrong. Call it before or after [Table.Fill].
func (t Table) Check() error {
	for _, o := range t {
		if o.check == nil {
			continue
		}
		if err := o.check(); err != nil {
			return err
		}
	}
	return nil
}

// Reason is an error whose text has nothing of a URL in it: a constant of the adapter, or put
// together from such constants and numbers of its own. [leat.Openers] shows a Reason without
// searching it for secrets. Never convert a text to it that the URL, a client library or a broker
// had a part in.
type Reason = secrets.Text //nolint:errname // a Reason is first of all a text

// Invalid makes the error of New and Open of what is wrong with options: an [*leat.Error] with
// [leat.CodeInvalid]. A nil stays nil. An [*leat.Error] stays as it is, with its own code.
func Invalid(err error) error {
	if own, ok := errors.AsType[*leat.Error](err); ok {
		return own
	}
	if err == nil {
		return nil
	}
	return &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err}
}

// Int is a number from lowest to highest. Zero means fallback.
func Int[T int | int16 | int32 | int64](field string, p *T, fallback, lowest, highest T) Option {
	return Option{
		read: func(r *Reader) { *p = T(r.integer(snake(field), int64(*p), int64(lowest), int64(highest))) },
		fill: func() { fill(p, fallback) }, check: func() error { return ranges.Int(long(field), *p, lowest, highest) },
	}
}

// Duration is a duration from lowest to highest. Zero means fallback; a URL can say zero only where
// lowest is zero.
func Duration(field string, p *time.Duration, fallback, lowest, highest time.Duration) Option {
	return Option{
		read:  func(r *Reader) { *p = r.Duration(snake(field), *p, lowest, highest) },
		fill:  func() { fill(p, fallback) },
		check: func() error { return ranges.Duration(long(field), *p, lowest, highest) },
	}
}

// Bool is a switch. Its default is off.
func Bool(field string, p *bool) Option {
	return Option{read: func(r *Reader) { *p = r.Bool(snake(field), *p) }}
}

// Text is any text. The empty one means fallback.
func Text(field string, p *string, fallback string) Option {
	return Option{read: func(r *Reader) { *p = r.String(snake(field), *p) }, fill: func() { fill(p, fallback) }}
}

// OneOf is one of the allowed texts. The empty one means fallback.
func OneOf(field string, p *string, fallback string, allowed ...string) Option {
	return Option{
		read: func(r *Reader) { *p = r.Enum(snake(field), *p, allowed...) }, fill: func() { fill(p, fallback) },
		check: func() error {
			if *p == "" || slices.Contains(allowed, *p) {
				return nil
			}
			return Reason(long(field) + " is out of its range; use " + list(allowed))
		},
	}
}

// Enum is a constant of the adapter's type T, whose constants count from zero. names are the texts
// that a URL has for them, in order. The default is the zero value.
func Enum[T ~uint8](field string, p *T, names ...string) Option {
	return Option{
		read: func(r *Reader) {
			name := snake(field)
			if word := r.Enum(name, "", names...); word != "" {
				*p = T(slices.Index(names, word))
			}
		},
		check: func() error { return ranges.Enum(long(field), *p, T(len(names)-1)) },
	}
}

// Hosts is where the broker is: the hosts of the URL, each "host" or "host:port". A host without a
// port gets the given one. At least one host is needed. The check is for hosts that are filled in.
func Hosts(p *[]string, port string) Option {
	return Option{
		read: func(r *Reader) { *p = r.Hosts() },
		fill: func() {
			*p = slices.Clone(*p)
			for i, host := range *p {
				if full, err := hostlist.WithPort(host, port); err == nil {
					(*p)[i] = full
				}
			}
		},
		check: func() error {
			if len(*p) == 0 {
				return Reason("no address in Hosts; name at least one as host:port")
			}
			for _, address := range *p {
				if _, err := hostlist.WithPort(address, port); err != nil {
					return Reason("Options.Hosts: " + err.Error() + "; each element is one host:port, without a scheme")
				}
			}
			return nil
		},
	}
}

// Endpoint is the URL of an HTTP or gRPC service that is not the broker URL's own hosts, such as
// "http://127.0.0.1:4566": one of the schemes, a host, perhaps a port and a path, and nothing more.
// The empty text means that there is none.
func Endpoint(field string, p *string, schemes ...string) Option {
	return Option{
		read:  func(r *Reader) { *p = r.String(snake(field), *p) },
		check: func() error { return checkEndpoint(long(field), *p, schemes) },
	}
}

func checkEndpoint(field, endpoint string, schemes []string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || !slices.Contains(schemes, u.Scheme) || hostlist.Check(u.Host) != nil || u.RawQuery != "" || u.Fragment != "":
		return Reason(fmt.Sprintf("%s is not a URL of its kind; write it as in %s://host:port", field, schemes[0]))
	case u.User != nil:
		return Reason(field + " has a user; leave it out, and give the credentials in their own options")
	}
	return nil
}

// Mapping is the field Mapping of an adapter's options. In a URL it is lenient, plain or
// structured, or several of them with commas between, in the order in which they are asked.
func Mapping(p *foreign.Mapping) Option {
	return Option{read: func(r *Reader) {
		if m := r.Mapping("mapping"); m != nil {
			*p = m
		}
	}}
}

// Logger is the field Logger of an adapter's options. Nil means no log.
func Logger(p **slog.Logger) Option {
	return Option{fill: func() { fill(p, slog.New(slog.DiscardHandler)) }}
}

func fill[T comparable](p *T, fallback T) {
	var zero T
	if *p == zero {
		*p = fallback
	}
}

// long is how an error names a field.
func long(field string) string {
	if strings.Contains(field, ".") {
		return field
	}
	return "Options." + field
}

// list is a list for people: "a, b or c".
func list(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// snake returns the name of a field as a URL has it: MaxEventBytes is max_event_bytes, and ClientID
// client_id.
func snake(field string) string {
	field = field[strings.LastIndexByte(field, '.')+1:]
	var b strings.Builder
	letters := []rune(field)
	for i, c := range letters {
		if i > 0 && unicode.IsUpper(c) && (unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
