package options

import (
	"context"
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
// open is the adapter's New. The error is that of [FromURL] where the URL is wrong, and else that
// of open.
func Open[O any, B leat.Broker](u *url.URL, read func(*O, *Reader), open func(*O) (B, error)) (leat.Broker, error) {
	return openWith(u, read, nil, open)
}

// OpenWith returns an adapter's [leat.Opener] that lets the application change the options of the
// URL, for what a URL cannot say, such as a logger. A nil change changes nothing.
//
//	func OpenWith(change func(*Options)) leat.Opener {
//		return options.OpenWith((*Options).read, change, New)
//	}
func OpenWith[O any, B leat.Broker](read func(*O, *Reader), change func(*O), open func(*O) (B, error)) leat.Opener {
	return func(_ context.Context, u *url.URL) (leat.Broker, error) { return openWith(u, read, change, open) }
}

func openWith[O any, B leat.Broker](u *url.URL, read func(*O, *Reader), change func(*O), open func(*O) (B, error)) (leat.Broker, error) {
	o, err := FromURL(u, read)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(o)
	}
	broker, err := open(o)
	if err != nil {
		return nil, err // not with a nil of type B
	}
	return broker, nil
}

// FromURL returns the options that u describes, for an adapter's OptionsFromURL. read sets the
// fields and reports to the Reader what is wrong. The error is an [*leat.Error] with
// [leat.CodeInvalid]; it quotes nothing of u.
//
//	func OptionsFromURL(u *url.URL) (*Options, error) {
//		return options.FromURL(u, (*Options).read)
//	}
func FromURL[O any](u *url.URL, read func(*O, *Reader)) (*O, error) {
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
	return o, nil
}
