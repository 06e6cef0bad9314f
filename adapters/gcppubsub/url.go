package gcppubsub

import (
	"context"
	"net/url"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Open makes a [Broker] from a URL; it does not wait for a connection.
//
//	gcppubsub://shop
//	gcppubsub://shop?endpoint=https%3A%2F%2Feurope-west1-pubsub.googleapis.com&ack_deadline=1m
//	gcppubsub://shop?endpoint=http%3A%2F%2F127.0.0.1%3A8085
//
// The host is the project. Credentials are the application default credentials: a user, a password
// or a key in the URL is an error.
//
// Parameters are named after the fields of [Options], in lower case: endpoint, allow_plaintext,
// buffer, buffer_bytes, delivery_timeout, requests, structured, ack_deadline, pulls, mapping
// (lenient, plain, structured, or several as in lenient,plain), provision (create, verify, off),
// retention, topic_retention, retain_acked, exactly_once, filter, dead_letter_topic,
// dead_letter_attempts, regions (several behind commas), request_timeout, dial_timeout and
// close_timeout. Durations have their unit (30s).
//
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names
// parameters and ranges, and quotes nothing of the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, (*Options).read, New)
}

// OptionsFromURL returns the [Options] that [Open] makes of u, to be changed and passed to [New]:
// for what is code and so is not in a URL, such as ClientOptions and Logger. Its errors are those
// of Open.
func OptionsFromURL(u *url.URL) (*Options, error) {
	return options.FromURL(u, (*Options).read)
}

// OpenWith returns [Open] with options that the application changes before the [Broker] is made:
//
//	brokers := leat.Openers{"gcppubsub": gcppubsub.OpenWith(func(o *gcppubsub.Options) { o.Logger = logger })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, New)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.NoPath("a gcppubsub URL has a project and parameters; leave the path out")
	u := r.URL()
	if u.Scheme != "gcppubsub" {
		r.Wrong("the scheme is not gcppubsub://")
	}
	if u.User != nil {
		r.Wrong("a gcppubsub URL has no user; credentials are the application default credentials, such as " +
			"GOOGLE_APPLICATION_CREDENTIALS, or those of the machine")
	}
	if o.Project = u.Host; strings.ContainsAny(o.Project, ",:") {
		r.Wrong("the host of a gcppubsub URL is one project, without a port; name a server by endpoint=")
	}
	if regions := r.String("regions", ""); regions != "" {
		o.Regions = strings.Split(regions, ",")
	}
}
