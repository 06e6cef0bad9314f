package nats

import (
	"context"
	"net/url"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Open makes a [Broker] from a URL; it does not connect.
//
//	nats://localhost:4222
//	tls://user:password@host:4222,host2:4222?ack_wait=1m
//	tls://user@host?password_file=/run/secrets/nats&ca_file=ca.pem
//	tls://host?creds_file=/run/secrets/nats.creds
//
// A user without a password is a token. tls:// uses TLS. nats:// would send a password or token as
// it is, so that one needs tls://, a host on this machine, or allow_plaintext=true.
//
// Parameters are named after the fields of [Options], in lower case: client_id, domain,
// inbox_prefix, buffer, buffer_bytes, delivery_timeout, max_message_bytes, structured, deduplicate,
// ack_wait, pinned_ttl, mapping (lenient, plain, structured, or several as in lenient,plain),
// key_header, provision (create, verify, off), start (oldest, new), replicas, max_age,
// request_timeout, dial_timeout, close_timeout, and allow_plaintext. Durations have their unit
// (30s). For security there are
//
//   - password_file and token_file, creds_file (a JWT and a seed) and nkey_file (a seed): files that are read
//     for each new connection, so that secrets can be changed while the program runs.
//   - ca_file, cert_file and key_file (PEM), with tls://. cert_file and key_file are read for each new
//     connection, ca_file once.
//
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names
// parameters and ranges, and quotes nothing of the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, (*Options).read, New)
}

// OptionsFromURL returns the [Options] that [Open] makes of u, to be changed and passed to [New]:
// for what is code and so is not in a URL, such as Logger. Its errors are those of Open.
func OptionsFromURL(u *url.URL) (*Options, error) {
	return options.FromURL(u, (*Options).read)
}

// OpenWith returns [Open] with options that the application changes before the [Broker] is made:
//
//	brokers := leat.Openers{"tls": nats.OpenWith(func(o *nats.Options) { o.Logger = logger })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, New)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.NoPath("a nats URL has hosts and parameters only; leave the path out")
	u := r.URL()
	if u.Scheme != "nats" && u.Scheme != "tls" {
		r.Wrong("the scheme is not nats:// or tls://")
	}
	o.TLS = r.TLS(u.Scheme == "tls", "tls://")
	o.Token, o.Creds, o.NKey = r.Secret("token_file"), r.Secret("creds_file"), r.Secret("nkey_file")
	token := u.User.Username()
	if _, hasPassword := u.User.Password(); token != "" && !hasPassword && r.String("password_file", "") == "" {
		if o.Token != nil {
			r.Wrong("the token is given twice, in the URL and by token_file")
		}
		o.Token = func(context.Context) (string, error) { return token, nil }
		return
	}
	if login := r.Login(); login != nil {
		o.Credentials = login.Credentials
	}
}
