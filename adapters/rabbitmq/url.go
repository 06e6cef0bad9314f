package rabbitmq

import (
	"context"
	"net/url"
	"strings"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Open makes a [Broker] from a URL; it does not connect.
//
//	amqps://user:password@host:5671,host2:5671/vhost
//	amqps://user@host/?password_file=/run/secrets/rabbitmq&ca_file=ca.pem
//	amqps://host/vhost?external=true&cert_file=client.pem&key_file=client-key.pem
//
// The virtual host is the path, percent-encoded; without one it is "/". amqps:// uses TLS. amqp://
// would send the password as it is, so that a user needs amqps://, a host on this machine, or
// allow_plaintext=true.
//
// Parameters are named after the fields of [Options], in lower case: client_id, heartbeat, buffer,
// buffer_bytes, confirm_window, publish_channels, delivery_timeout, max_message_bytes, structured,
// unroutable (refuse, drop, keep), recycle_after, mapping (lenient, plain, structured, or several
// as in lenient,plain), key_from (routing_key, header:NAME), provision (create, verify, off),
// management_url, queue_type (quorum, classic), delivery_limit, request_timeout, dial_timeout,
// close_timeout, and allow_plaintext. Durations have their unit (30s). For security there are
//
//   - password_file: a file that is read for each new connection, so that the password can be changed while the program runs.
//   - external=true: log in by the client's certificate.
//   - ca_file, cert_file and key_file (PEM), with amqps://. cert_file and key_file are read for each new connection, ca_file once.
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
//	brokers := leat.Openers{"amqps": rabbitmq.OpenWith(func(o *rabbitmq.Options) { o.Logger = logger })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, New)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.Renamed("connection_name", "client_id")
	r.Renamed("allow_unroutable", "unroutable")
	o.readVHost(r)
	u := r.URL()
	secure := u.Scheme == "amqps"
	if u.Scheme != "amqp" && !secure {
		r.Wrong("the scheme is not amqp:// or amqps://")
	}
	o.TLS = r.TLS(secure, "amqps://")
	login := r.Login()
	switch o.External = r.Bool("external", false); {
	case login != nil && o.External:
		r.Wrong("external=true logs in by a certificate; leave out user and password")
	case login != nil:
		o.Credentials = login.Credentials
	case o.External && !secure:
		r.Wrong("external=true and its certificate need amqps://")
	case o.External && r.String("cert_file", "") == "":
		r.Wrong("external=true logs in by a certificate; give cert_file and key_file")
	}
}

// readVHost reads the virtual host, which is one segment of the path: a slash in its name is
// percent-encoded.
func (o *Options) readVHost(r *options.Reader) {
	path := strings.TrimPrefix(r.URL().EscapedPath(), "/")
	if strings.Contains(path, "/") {
		r.Wrong("the virtual host has a slash; write %2F for one that belongs to its name, and none at its end")
	}
	var err error
	if o.VHost, err = url.PathUnescape(path); err != nil { // which quotes
		r.Wrong("the virtual host cannot be parsed; percent-encode what is neither a letter nor a digit")
	}
}
