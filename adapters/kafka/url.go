package kafka

import (
	"context"
	"net/url"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Open makes a [Broker] from a URL; it does not connect.
//
//	kafka://host:9092,host2:9092
//	kafka://user:password@host:9092?sasl=SCRAM-SHA-512&tls=true
//	kafka://host:9093?tls=true&ca_file=ca.pem&cert_file=client.pem&key_file=client-key.pem
//
// Parameters are named after the fields of [Options], in lower case: client_id, compression,
// linger, buffer, buffer_bytes, delivery_timeout, max_message_bytes, structured, no_record_key,
// start (earliest, latest), protocol (classic, consumer), commit_interval, session_timeout,
// heartbeat_interval, rebalance_timeout, instance_id, rack, gap_limit, mapping (lenient, plain,
// structured, or several as in lenient,plain), provision (create, verify, off), partitions,
// replication_factor, request_timeout, dial_timeout, close_timeout, and allow_plaintext. Durations
// have their unit (30s). For security there are
//
//   - sasl: the mechanism; PLAIN, where the URL has a user and no sasl.
//   - password_file, token_file: files that are read for each new connection, so that a secret can be changed while the program runs.
//   - tls=true, ca_file, cert_file and key_file (PEM). cert_file and key_file are read for each new connection, ca_file once.
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
//	brokers := leat.Openers{"kafka": kafka.OpenWith(func(o *kafka.Options) { o.Logger = logger })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, New)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.Renamed("connection_name", "client_id")
	r.NoPath("kafka:// takes hosts and parameters only; topics are named by subscriptions")
	if r.URL().Query().Has("acks") {
		r.Wrong("publishes always wait for all in-sync replicas (acks=all); leave acks out")
	}
	mechanism, token, login := r.Enum("sasl", "", Plain, ScramSHA256, ScramSHA512, OAuthBearer), r.Secret("token_file"), r.Login()
	if mechanism == "" && login != nil {
		mechanism = Plain
	}
	switch {
	case (mechanism == OAuthBearer) != (token != nil):
		r.Wrong("sasl=OAUTHBEARER and token_file belong together; give both")
	case mechanism == OAuthBearer && login != nil:
		r.Wrong("sasl=OAUTHBEARER logs in by a token; leave out user and password")
	case mechanism == OAuthBearer:
		o.SASL = &SASL{Mechanism: mechanism, Token: token}
	case mechanism != "" && login == nil:
		r.Wrong("sasl needs a user in the URL, as in kafka://user:password@host:9092")
	case mechanism != "":
		o.SASL = &SASL{Mechanism: mechanism, Credentials: login.Credentials}
	}
	o.TLS = r.TLS(r.Bool("tls", false), "tls=true")
}
