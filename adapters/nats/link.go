package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/leatgo/leat/adapterkit/lifecycle"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dialPace is how often a link connects at most.
const dialPace = time.Second

// link is a connection of the client, which connects again by itself.
type link struct {
	o     *Options
	role  string
	log   *journal
	up    func()      // there is a connection; called in order with down
	down  func(error) // it is lost
	wrong func(error) // an attempt failed, or a server says what else is wrong

	ctx    context.Context //nolint:containedctx // every attempt ends with it
	cancel context.CancelFunc
	tasks  *lifecycle.Tasks
	made   chan struct{} // closed when nc and js are there

	nc *nats.Conn
	js jetstream.JetStream

	mu       sync.Mutex
	conn     net.Conn // the newest socket
	dialed   time.Time
	host     string // that was dialed
	missed   error  // why the last dial failed
	said     error  // why the server ends the connection that there is
	denied   error  // the last denial of a request by this connection
	deaf     error  // the denial of the inbox of answers by this connection
	deniedAt time.Time
	next     int           // counts attempts, for the server that is next
	isUp     bool          // as the callbacks say
	turned   chan struct{} // closed when isUp changes
	lost     fault.Symptom
}

// newLink returns a link that connects in the background.
func newLink(o *Options, role string, log *journal, tasks *lifecycle.Tasks) *link {
	l := &link{o: o, role: role, log: log, tasks: tasks}
	l.made, l.turned = make(chan struct{}), make(chan struct{})
	l.up, l.down, l.wrong = func() {}, func(error) {}, func(error) {}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.lost.Set(errors.New("not connected yet"))
	return l
}

func (l *link) start() { l.tasks.Go(l.connect) }

// connect makes the client's connection. The client tries every host once here, and then without
// end.
func (l *link) connect() {
	defer close(l.made)
	opts := nats.GetDefaultOptions()
	opts.Name, opts.InboxPrefix = l.o.ClientID+" "+l.role, l.o.InboxPrefix
	scheme := "nats://"
	if l.o.TLS != nil {
		scheme = "tls://"
	}
	for _, host := range l.o.Hosts {
		opts.Servers = append(opts.Servers, scheme+host)
	}
	opts.NoRandomize, opts.SkipHostLookup, opts.SkipSubjectValidation = true, true, true
	opts.RetryOnFailedConnect, opts.MaxReconnect, opts.IgnoreAuthErrorAbort = true, -1, true
	opts.ReconnectBufSize = -1 // else what was refused would be sent later
	opts.IgnoreDiscoveredServers = l.o.discreet()
	opts.Timeout, opts.FlusherTimeout = l.o.DialTimeout, l.o.RequestTimeout
	opts.PingInterval, opts.MaxPingsOut = 20*time.Second, 2
	opts.CustomDialer, opts.ReconnectToServerCB = l, l.choose
	opts.ConnectedCB, opts.ReconnectedCB = l.connected, l.connected
	opts.DisconnectedErrCB = func(_ *nats.Conn, err error) { l.disconnected(err) }
	opts.ReconnectErrCB = func(_ *nats.Conn, err error) { l.failed(err) }
	opts.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { l.reported(err) }
	opts.Secure, opts.TLSConfig = l.o.TLS != nil, l.o.TLS
	if !l.login(&opts) {
		return
	}
	nc, err := opts.Connect()
	if err == nil {
		l.nc = nc
		l.js, err = l.jetStream()
	}
	if err != nil { // an option that the client does not take
		l.failed(err)
	}
}

func (l *link) jetStream() (jetstream.JetStream, error) {
	if l.o.Domain != "" {
		return jetstream.NewWithDomain(l.nc, l.o.Domain)
	}
	return jetstream.New(l.nc)
}

// Dial implements the client's CustomDialer. It keeps the socket, since only its end ends a write
// of the client that a server does not read.
func (l *link) Dial(network, address string) (net.Conn, error) {
	select {
	case <-l.made: // choose has waited, without the client's lock
	default:
		lifecycle.Sleep(l.ctx, l.wait())
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.o.DialTimeout)
	defer cancel()
	l.mu.Lock()
	l.dialed, l.host = time.Now(), address
	l.mu.Unlock()
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missed = err; err != nil {
		return nil, err
	}
	if l.ctx.Err() != nil {
		_ = c.Close()
		return nil, nats.ErrConnectionClosed
	}
	l.conn = c
	return c, nil
}

// wait returns how long it is until the next attempt may be made.
func (l *link) wait() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.dialed.Add(dialPace))
}

// choose takes the server that is next. The client holds its lock.
func (l *link) choose(servers []nats.Server, _ nats.ServerInfo) (*nats.Server, time.Duration) {
	l.tasks.Go(func() { // the client calls nothing when a server refuses an attempt
		if <-l.made; l.nc != nil {
			l.failed(l.nc.LastError())
		}
	})
	l.mu.Lock()
	l.next++
	n := l.next % len(servers)
	l.mu.Unlock()
	return &servers[n], max(l.wait(), 0)
}

func (l *link) connected(*nats.Conn) {
	<-l.made
	host := l.turn(true, nil)
	l.log.connected(l.role, host)
	l.up()
}

func (l *link) disconnected(err error) {
	if err == nil {
		err = nats.ErrDisconnected
	}
	l.mu.Lock()
	if l.said != nil {
		err = fmt.Errorf("%w: the server says: %v", err, l.said) //nolint:errorlint // another login may do
	}
	l.mu.Unlock()
	host := l.turn(false, err)
	if l.ctx.Err() == nil { // otherwise Close ends it
		l.log.lost(l.role, host, err)
	}
	l.down(err)
}

// failed notes why an attempt to connect has failed. It may be told twice.
func (l *link) failed(err error) {
	if err == nil || l.ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	if errors.Is(err, nats.ErrNoServers) && l.missed != nil {
		err = l.missed
	}
	err = advised(err)
	up, host := l.isUp, l.host
	if !up {
		l.lost.Set(err)
		l.wake()
	}
	l.mu.Unlock()
	if !up {
		l.log.failed(l.role, host, err)
		if l.alive() { // it was over before there was the line
			l.log.connected(l.role, host)
		}
	}
	l.wrong(err)
}

// reported takes an error that the client calls asynchronous. One of the login says why the server
// is about to end the connection. Without a connection it is that of an attempt to connect, and
// failed gets it as well; disconnected follows where the connection breaks in a write.
func (l *link) reported(err error) {
	l.mu.Lock()
	host, login := l.host, isLogin(err)
	broken, _ := errors.AsType[net.Error](err)
	switch {
	case !l.isUp, broken != nil && !broken.Timeout():
		l.mu.Unlock()
		return
	case login:
		l.said = err
	default:
		err = advised(err)
		l.deny(err)
	}
	l.mu.Unlock()
	if !login {
		l.log.report(l.role, host, err)
		l.wrong(err)
	}
}

// wake lets those look again that wait for a connection. The lock is held.
func (l *link) wake() {
	close(l.turned)
	l.turned = make(chan struct{})
}

// turn notes that there is a connection, or none any more. It returns the host.
func (l *link) turn(up bool, err error) (host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isUp, l.said, l.denied, l.deaf = up, nil, nil, nil
	l.lost.Set(err)
	l.wake()
	return l.host
}

func (l *link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isUp
}

// trouble returns what is wrong with the connection, or nil.
func (l *link) trouble() error {
	if why := l.why(); why != nil {
		return &leat.Error{Code: codeOf(why), Err: why}
	}
	return nil
}

func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isUp || l.lost.Err == nil {
		return nil
	}
	return fmt.Errorf("not connected: %w", l.lost.Err)
}

func (l *link) health(topic string) error {
	why := l.why()
	if why == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return fault.Health(topic, codeOf(why), l.lost.Since, why)
}

// do waits for a connection and calls f in a goroutine of its own. The client's calls may block on
// a write, whatever their ctx says. do returns when f has, or ctx ends; f looks at ctx itself.
func (l *link) do(ctx context.Context, f func(ctx context.Context) error) error {
	begin := time.Now()
	for !l.alive() {
		l.mu.Lock()
		turned := l.turned
		l.mu.Unlock()
		why := l.why()
		if why == nil {
			continue
		}
		if codeOf(why) == leat.CodeUnauthenticated { // waiting does not help
			return why
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), why)
		case <-l.ctx.Done():
			return nats.ErrConnectionClosed
		}
	}
	err, cause := l.tasks.Await(ctx, func() error { return f(ctx) }), context.Cause(ctx)
	if cause == nil || !errors.Is(err, cause) && !errors.Is(err, ctx.Err()) {
		return err
	}
	if denied := l.denial(begin); denied != nil {
		return fmt.Errorf("%w: %w", cause, denied)
	}
	return cause
}

// denial returns what a server has denied since a request began, which it does not answer then.
func (l *link) denial(begin time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf != nil || l.deniedAt.Before(begin) {
		return l.deaf
	}
	return l.denied
}

// deny keeps what a server has denied, if that has to do with requests: what they publish, or the
// inbox for their answers, which it denies once for each connection. The lock is held.
func (l *link) deny(err error) {
	switch text := err.Error(); {
	case !errors.Is(err, nats.ErrPermissionViolation):
	case isInbox(err):
		l.deaf = err
	case strings.Contains(text, ".API.") && !strings.Contains(text, ".MSG.NEXT."):
		l.denied, l.deniedAt = err, time.Now()
	}
}

// close ends the connection within ctx, also when the client hangs in a write.
func (l *link) close(ctx context.Context) {
	l.cancel()
	select {
	case <-l.made:
	default: // the client may wait for a server that is silent
		l.hangUp()
		<-l.made
	}
	if l.nc == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.nc.Close()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	l.hangUp()
	<-done
}

// hangUp closes the socket, if there is one.
func (l *link) hangUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		_ = l.conn.Close()
	}
}
