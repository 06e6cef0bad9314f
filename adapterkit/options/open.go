package options

import (
	"net/url"

	"github.com/leatgo/leat"
)

// Open is an adapter's [leat.Opener] without its context: it makes options of the URL and a broker
// of the options.
//
//	func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
//		return options.Open(u, (*Options).read, New)
//	}
//
// read sets the fields and reports to the Reader what is wrong. open is the adapter's New. The
// error is an [*leat.Error] with [leat.CodeInvalid] where the URL is wrong, and else that of open.
func Open[O any, B leat.Broker](u *url.URL, read func(*O, *Reader), open func(*O) (B, error)) (leat.Broker, error) {
	if u == nil {
		return nil, Invalid(Reason("no URL"))
	}
	r, o := NewReader(u), new(O)
	read(o, r)
	if u.Opaque != "" || u.Fragment != "" {
		r.Wrong("the URL has a part that no broker URL has; write scheme://hosts?parameters")
	}
	if err := r.Err(); err != nil {
		return nil, Invalid(err)
	}
	broker, err := open(o)
	if err != nil {
		return nil, err // not with a nil of type B
	}
	return broker, nil
}
