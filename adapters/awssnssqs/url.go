package awssnssqs

import (
	"context"
	"net/url"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Open makes a [Broker] from a URL; it does not connect.
//
//	awssnssqs://?region=eu-central-1
//	awssnssqs://?region=eu-central-1&mode=sqs&wait=20s&visibility=1m
//	awssnssqs://?endpoint=http%3A%2F%2F127.0.0.1%3A4566
//
// The URL has parameters only. Credentials come from the SDK's default chain: a user, a password or
// a key in the URL is an error.
//
// Parameters are named after the fields of [Options], in lower case: mode (sns, sqs, publish),
// standard, fair_queues, region, endpoint, allow_plaintext, buffer, buffer_bytes, delivery_timeout,
// max_message_bytes, lanes, wait, visibility, pollers, mapping (lenient, plain, structured, or
// several as in lenient,plain), provision (create, verify, off), kms_key, retention,
// request_timeout, dial_timeout and close_timeout. Durations have their unit (30s).
//
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names
// parameters and ranges, and quotes nothing of the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, (*Options).read, New)
}

// OptionsFromURL returns the [Options] that [Open] makes of u, to be changed and passed to [New]:
// for what is code and so is not in a URL, such as Topics and Logger. Its errors are those of Open.
func OptionsFromURL(u *url.URL) (*Options, error) {
	return options.FromURL(u, (*Options).read)
}

// OpenWith returns [Open] with options that the application changes before the [Broker] is made:
//
//	brokers := leat.Openers{"awssnssqs": awssnssqs.OpenWith(func(o *awssnssqs.Options) { o.Logger = logger })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, New)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.NoPath("an awssnssqs URL has parameters only; leave the path out")
	u := r.URL()
	if u.Scheme != "awssnssqs" {
		r.Wrong("the scheme is not awssnssqs://")
	}
	if u.Host != "" {
		r.Wrong("an awssnssqs URL has no host; write ?region= and, for a server that is not AWS, endpoint=")
	}
	if u.User != nil {
		r.Wrong("an awssnssqs URL has no user; credentials come from the SDK's default chain, such as AWS_ACCESS_KEY_ID " +
			"and AWS_SECRET_ACCESS_KEY, shared files, or the role of the instance")
	}
}

// plaintext returns the host of an endpoint, and whether it is one without TLS.
func plaintext(endpoint string) (host string, plain bool) {
	host, plain = strings.CutPrefix(endpoint, "http://")
	host, _, _ = strings.Cut(host, "/")
	return host, plain
}
