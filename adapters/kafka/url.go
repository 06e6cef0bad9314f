package kafka

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
//	kafka://host:9092,host2:9092
//	kafka://user:password@host:9092?sasl=SCRAM-SHA-512&tls=true
//	kafka://host:9093?tls=true&ca_file=ca.pem&cert_file=client.pem&key_file=client-key.pem
//
// Parameters are named after the fields of [Options], in lower case: client_id, compression, linger, buffer, buffer_bytes,
// delivery_timeout, max_message_bytes, structured, no_record_key, start (earliest, latest), protocol (classic, consumer),
// commit_interval, session_timeout, heartbeat_interval, rebalance_timeout, instance_id, rack, gap_limit,
// mapping (lenient, plain, structured, or several as in lenient,plain), provision (create, verify, off), partitions,
// replication_factor, request_timeout, dial_timeout, close_timeout, and allow_plaintext.
// Durations have their unit (30s). For security there are
//
//   - sasl: the mechanism; PLAIN, where the URL has a user and no sasl.
//   - password_file, token_file: files that are read for each new connection, so that a secret can be changed while the program runs.
//   - tls=true, ca_file, cert_file and key_file (PEM). cert_file and key_file are read for each new connection, ca_file once.
//
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names parameters and ranges, and quotes nothing of
// the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	invalid := func(err error) error { return &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err} }
	if u == nil {
		return nil, invalid(secrets.Text("no URL"))
	}
	if strings.Trim(u.Path, "/") != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, invalid(secrets.Text("kafka:// takes hosts and parameters only; topics are named by subscriptions"))
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
		Compression: p.Enum("compression", "", "none", "gzip", "snappy", "lz4", "zstd"),
		Linger:      p.Duration("linger", 0, 0, time.Minute),
		Buffer:      p.Int("buffer", 0, 1, mostBuffered), BufferBytes: p.Int("buffer_bytes", 0, 1, most),
		DeliveryTimeout: p.Duration("delivery_timeout", 0, time.Second, longest),
		MaxMessageBytes: p.Int("max_message_bytes", 0, 16<<10, 1<<30),
		Structured:      p.Bool("structured", false), NoRecordKey: p.Bool("no_record_key", false),
		Start:             Start(index(p, "start", "earliest", "latest")),
		Protocol:          Protocol(index(p, "protocol", "classic", "consumer")),
		CommitInterval:    p.Duration("commit_interval", 0, time.Millisecond, time.Hour),
		SessionTimeout:    p.Duration("session_timeout", 0, 100*time.Millisecond, longest),
		HeartbeatInterval: p.Duration("heartbeat_interval", 0, time.Millisecond, longest),
		RebalanceTimeout:  p.Duration("rebalance_timeout", 0, 100*time.Millisecond, longest),
		InstanceID:        p.String("instance_id", ""), Rack: p.String("rack", ""),
		GapLimit:   p.Int("gap_limit", 0, 1, 100_000_000),
		Mapping:    p.Mapping("mapping"),
		Provision:  Provision(index(p, "provision", "create", "verify", "off")),
		Partitions: p.Int("partitions", 0, 1, 1_000_000), ReplicationFactor: p.Int("replication_factor", 0, 1, 1_000),
		RequestTimeout: p.Duration("request_timeout", 0, time.Millisecond, time.Hour),
		DialTimeout:    p.Duration("dial_timeout", 0, time.Millisecond, time.Hour),
		CloseTimeout:   p.Duration("close_timeout", 0, time.Millisecond, time.Hour),
		AllowPlaintext: p.Bool("allow_plaintext", false),
	}
	securityErr := readSecurity(o, u, p)
	p.Renamed("clientid", "client_id")
	p.Renamed("connection_name", "client_id")
	return o, secrets.Join(hostsErr, p.Err(), securityErr)
}

// index returns which of the values the parameter has; the first is the default.
func index(p *params.Reader, name string, values ...string) int {
	return slices.Index(values, p.Enum(name, values[0], values...))
}

func readSecurity(o *Options, u *url.URL, p *params.Reader) error {
	for _, name := range []string{"password", "token", "ca", "cert", "key"} {
		p.Renamed(name+"file", name+"_file")
	}
	mechanism := p.Enum("sasl", "", Plain, ScramSHA256, ScramSHA512, OAuthBearer)
	passwordFile, tokenFile := p.String("password_file", ""), p.String("token_file", "")
	useTLS := p.Bool("tls", false)
	ca, cert, key := p.String("ca_file", ""), p.String("cert_file", ""), p.String("key_file", "")
	user := u.User.Username()
	password, hasPassword := u.User.Password()
	if mechanism == "" && u.User != nil {
		mechanism = Plain
	}
	switch {
	case hasPassword && passwordFile != "":
		return secrets.Text("the password is given twice, in the URL and by password_file")
	case mechanism == OAuthBearer && tokenFile == "":
		return secrets.Text("sasl=OAUTHBEARER needs token_file")
	case mechanism != OAuthBearer && tokenFile != "":
		return secrets.Text("token_file is for sasl=OAUTHBEARER")
	case mechanism == OAuthBearer:
		o.SASL = &SASL{Mechanism: mechanism, Token: func(context.Context) (string, error) { return credfile.Secret("token_file", tokenFile) }}
	case mechanism != "" && user == "":
		return secrets.Text("sasl needs a user in the URL, as in kafka://user:password@host:9092")
	case mechanism != "" && !hasPassword && passwordFile == "":
		return secrets.Text("the user has no password; write user:password, or give password_file")
	case mechanism == "" && passwordFile != "":
		return secrets.Text("password_file needs a user in the URL")
	case mechanism != "":
		o.SASL = &SASL{Mechanism: mechanism, Credentials: func(context.Context) (string, string, error) {
			if passwordFile == "" {
				return user, password, nil
			}
			secret, err := credfile.Secret("password_file", passwordFile)
			return user, secret, err
		}}
	}
	if !useTLS {
		if ca+cert+key != "" {
			return secrets.Text("ca_file, cert_file and key_file need tls=true")
		}
		return nil
	}
	var err error
	o.TLS, err = credfile.TLS(ca, cert, key)
	return err
}
