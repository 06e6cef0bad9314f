package rabbitmq

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/rabbit"
	amqp "github.com/rabbitmq/amqp091-go"
)

// locale is the only one that there is.
const locale = "en_US"

// dial makes a connection to a host. ctx bounds it, login included.
func (o *Options) dial(ctx context.Context, host, purpose string) (*session, error) {
	limit := fmt.Errorf("no connection within the DialTimeout of %v", o.DialTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, o.DialTimeout, limit)
	defer cancel()
	sasl, err := o.login(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := o.socket(ctx, host)
	if err != nil {
		return nil, advised(because(ctx, err))
	}
	l := newLink(conn)
	stop := context.AfterFunc(ctx, l.kill)
	began := time.Now()
	c, err := amqp.Open(l, amqp.Config{
		SASL: []amqp.Authentication{sasl}, Vhost: o.VHost, Heartbeat: o.Heartbeat, Locale: locale,
		Properties: amqp.Table{
			"connection_name": o.ClientID + " " + purpose, "product": "Leat", "platform": "golang",
		},
	})
	if !stop() {
		err = cmp.Or(err, ctx.Err())
	}
	if err = discreet(err); err != nil {
		l.kill()
		if errors.Is(err, amqp.ErrCredentials) && time.Since(began) < rabbit.SilentClose {
			err = fmt.Errorf("%w: %w", errDropped, err)
		}
		return nil, advised(because(ctx, err))
	}
	return newSession(c, l, o), nil
}

// because adds why ctx has ended to an error.
func because(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), err)
}

// login returns how to log in.
func (o *Options) login(ctx context.Context) (amqp.Authentication, error) {
	if o.External {
		return &amqp.ExternalAuth{}, nil
	}
	user, password, err := o.Credentials(ctx)
	if err != nil {
		return nil, &leat.Error{Op: "connect", Code: leat.CodeUnauthenticated, Err: fmt.Errorf("there are no credentials: %w", err)}
	}
	return &amqp.PlainAuth{Username: user, Password: password}, nil
}

// socket connects to a host, by TLS where that is asked for.
func (o *Options) socket(ctx context.Context, host string) (net.Conn, error) {
	if o.TLS == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", host)
	}
	return (&tls.Dialer{Config: o.TLS}).DialContext(ctx, "tcp", host)
}

// isHopeless reports whether an error of connecting does not pass by itself, unlike a broker that
// is down.
func isHopeless(err error) bool {
	switch codeOf(err) {
	case leat.CodeUnauthenticated, leat.CodePermissionDenied, leat.CodeNotFound, leat.CodeInvalid, leat.CodeUnsupported:
		return true
	}
	return false
}

// errDropped is wrapped by the error of a login that was ended too early for a refusal.
var errDropped error = &leat.Error{
	Op: "connect", Code: leat.CodeUnavailable, Err: errors.New("the broker ended the connection during the login"),
}

// dialPause is the least time between two attempts to connect to a host of which one has failed, or
// for the same purpose.
const dialPause = time.Second
