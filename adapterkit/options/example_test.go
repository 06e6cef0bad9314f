package options_test

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
)

// Options are those of a small adapter.
type Options struct {
	Hosts       []string
	Credentials func(ctx context.Context) (user, password string, err error)
	Buffer      int
	AckWait     time.Duration
}

// table is the only place that knows names, defaults and ranges.
func (o *Options) table() options.Table {
	return options.Table{
		options.Hosts(&o.Hosts, "4222"),
		options.Int("Buffer", &o.Buffer, 10_000, 1, 1<<30),
		options.Duration("AckWait", &o.AckWait, 30*time.Second, time.Second, time.Hour),
	}
}

// read reads a URL.
func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.NoPath("the URL takes hosts and parameters only")
	if login := r.Login(); login != nil {
		o.Credentials = login.Credentials
	}
}

// Broker is what the adapter makes.
type Broker struct {
	leat.Broker

	o Options
}

// New makes a Broker.
func New(o *Options) (*Broker, error) {
	b := &Broker{}
	if o != nil {
		b.o = *o
	}
	b.o.table().Fill()
	if err := b.o.table().Check(); err != nil {
		return nil, options.Invalid(err)
	}
	return b, nil
}

// Open makes a Broker of a URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, (*Options).read, New)
}

func Example() {
	openers := leat.Openers{"nats": Open}
	b, err := openers.Open(context.Background(), "nats://ann:Sesame-8471@a,b:4223?ack_wait=5s")
	if err != nil {
		fmt.Println(err)
		return
	}
	o := b.(*Broker).o
	fmt.Println(o.Hosts, o.Buffer, o.AckWait)

	_, err = openers.Open(context.Background(), "nats://ann:Sesame-8471@a?ackwait=5s")
	fmt.Println(err)
	_, err = New(&Options{Hosts: []string{"a"}, AckWait: 1})
	fmt.Println(err)
	// Output:
	// [a:4222 b:4223] 10000 5s
	// leat: open: invalid: parameter ackwait is now called ack_wait; there are ack_wait, buffer, password_file
	// leat: open: invalid: Options.AckWait is out of its range; use 1s to 1h0m0s, or 0 for the default
}
