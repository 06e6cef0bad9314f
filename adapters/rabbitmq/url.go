package rabbitmq

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/credfile"
	"github.com/leatgo/leat/internal/hostlist"
	"github.com/leatgo/leat/internal/params"
	"github.com/leatgo/leat/internal/secrets"
)

// Open makes a [Broker] from a URL; it does not connect.
//
//	amqps://user:password@host:5671,host2:5671/vhost
//	amqps://user@host/?password_file=/run/secrets/rabbitmq&ca_file=ca.pem
//	amqps://host/vhost?external=true&cert_file=client.pem&key_file=client-key.pem
//
// The virtual host is the path, percent-encoded; without one it is "/". amqps:// uses TLS. amqp:// would send the password as it is, so
// that a user needs amqps://, a host on this machine, or allow_plaintext=true.
//
// Parameters are named after the fields of [Options], in lower case: client_id, heartbeat, buffer, buffer_bytes, confirm_window,
// publish_channels, delivery_timeout, max_message_bytes, structured, allow_unroutable, recycle_after, partitions, mapping
// (lenient, plain, structured, or several as in lenient,plain), key_from (routing_key, header:NAME), provision (create, verify, off),
// management_url, queue_type (quorum, classic), delivery_limit, request_timeout, dial_timeout, close_timeout, and allow_plaintext.
// Durations have their unit (30s). For security there are
//
//   - password_file: a file that is read for each new connection, so that the password can be changed while the program runs.
//   - external=true: log in by the client's certificate.
//   - ca_file, cert_file and key_file (PEM), with amqps://. cert_file and key_file are read for each new connection, ca_file once.
//
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names parameters and ranges, and quotes nothing of
// the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	invalid := func(err error) error { return &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err} }
	if u == nil {
		return nil, invalid(secrets.Text("no URL"))
	}
	o, err := readOptions(u)
	if err != nil {
		return nil, invalid(err)
	}
	b, err := New(o)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func readOptions(u *url.URL) (*Options, error) {
	const (
		most    = 1 << 40
		longest = 24 * time.Hour
	)
	p := params.FromURL(u)
	addresses, hostsErr := hostlist.Split(u.Host)
	o := &Options{
		Hosts: addresses, ClientID: p.String("client_id", ""),
		Heartbeat: p.Duration("heartbeat", 0, time.Second, time.Hour),
		Buffer:    p.Int("buffer", 0, 1, mostBuffered), BufferBytes: p.Int("buffer_bytes", 0, 1, most),
		ConfirmWindow:   p.Int("confirm_window", 0, 1, 1_000_000),
		PublishChannels: p.Int("publish_channels", 0, 1, 1_000),
		DeliveryTimeout: p.Duration("delivery_timeout", 0, time.Second, longest),
		MaxMessageBytes: p.Int("max_message_bytes", 0, 16<<10, 512<<20),
		Structured:      p.Bool("structured", false), AllowUnroutable: p.Bool("allow_unroutable", false),
		RecycleAfter:   p.Duration("recycle_after", 0, time.Second, longest),
		Partitions:     p.Int("partitions", 0, 1, 1_000),
		Mapping:        p.Mapping("mapping"),
		KeyFrom:        p.String("key_from", ""),
		Provision:      Provision(index(p, "provision", "create", "verify", "off")),
		ManagementURL:  p.String("management_url", ""),
		QueueType:      QueueType(index(p, "queue_type", "quorum", "classic")),
		DeliveryLimit:  p.Int("delivery_limit", 0, 1, 1<<31),
		RequestTimeout: p.Duration("request_timeout", 0, time.Millisecond, time.Hour),
		DialTimeout:    p.Duration("dial_timeout", 0, time.Millisecond, time.Hour),
		CloseTimeout:   p.Duration("close_timeout", 0, time.Millisecond, time.Hour),
		AllowPlaintext: p.Bool("allow_plaintext", false),
	}
	p.Renamed("connection_name", "client_id")
	p.Renamed("clientid", "client_id")
	vhost, vhostErr := readVHost(u)
	o.VHost = vhost
	securityErr := readSecurity(o, u, p)
	return o, secrets.Join(hostsErr, vhostErr, p.Err(), securityErr)
}

// readVHost returns the virtual host, which is one segment of the path: a slash in its name is percent-encoded.
func readVHost(u *url.URL) (string, error) {
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	switch {
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return "", secrets.Text("the scheme is not amqp:// or amqps://")
	case u.Fragment != "" || u.Opaque != "":
		return "", secrets.Text("amqp:// takes hosts, a virtual host and parameters only")
	case strings.Contains(path, "/"):
		return "", secrets.Text("the virtual host has a slash; write %2F for one that belongs to its name, and none at its end")
	}
	vhost, err := url.PathUnescape(path)
	if err != nil { // which quotes
		return "", secrets.Text("the virtual host cannot be parsed; percent-encode what is neither a letter nor a digit")
	}
	return vhost, nil
}

// index returns which of the values the parameter has; the first is the default.
func index(p *params.Reader, name string, values ...string) int {
	return slices.Index(values, p.Enum(name, values[0], values...))
}

func readSecurity(o *Options, u *url.URL, p *params.Reader) error {
	for _, name := range []string{"password", "ca", "cert", "key"} {
		p.Renamed(name+"file", name+"_file")
	}
	o.External = p.Bool("external", false)
	passwordFile := p.String("password_file", "")
	ca, cert, key := p.String("ca_file", ""), p.String("cert_file", ""), p.String("key_file", "")
	if err := readCredentials(o, u.User, passwordFile); err != nil {
		return err
	}
	if u.Scheme != "amqps" {
		if o.External || ca+cert+key != "" {
			return secrets.Text("external, ca_file, cert_file and key_file need amqps://")
		}
		return nil
	}
	if o.External && cert == "" {
		return secrets.Text("external=true logs in by a certificate; give cert_file and key_file")
	}
	var err error
	o.TLS, err = credfile.TLS(ca, cert, key)
	return err
}

func readCredentials(o *Options, u *url.Userinfo, passwordFile string) error {
	user := u.Username()
	password, hasPassword := u.Password()
	switch {
	case o.External && (u != nil || passwordFile != ""):
		return secrets.Text("external=true logs in by a certificate; leave out user and password")
	case hasPassword && passwordFile != "":
		return secrets.Text("the password is given twice, in the URL and by password_file")
	case user == "" && (hasPassword || passwordFile != ""):
		return secrets.Text("the password has no user; write amqp://user@host")
	case u != nil && !hasPassword && passwordFile == "":
		return secrets.Text("the user has no password; write user:password, or give password_file")
	case passwordFile != "":
		o.Credentials = func(context.Context) (string, string, error) {
			secret, err := credfile.Secret("password_file", passwordFile)
			return user, secret, err
		}
	case u != nil:
		o.Credentials = func(context.Context) (string, string, error) { return user, password, nil }
	}
	return nil
}
