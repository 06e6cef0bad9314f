package memory

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/params"
	"github.com/leatgo/leat/internal/ranges"
	"github.com/leatgo/leat/internal/secrets"
)

// Provision says what [Broker.Declare] does about topics and groups that do not exist.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates them; publishing to a topic that does not exist creates it too. It is the default.
	ProvisionCreate Provision = iota
	// ProvisionVerify reports them with [leat.CodeNotFound].
	ProvisionVerify
	// ProvisionOff does nothing.
	ProvisionOff
)

// Options are the options of a [Broker]. The zero value works. With a field that is out of its range, every call of the Broker, and with it
// Run, returns an error with [leat.CodeInvalid] that names the field and the range.
type Options struct {
	// Buffer is how many events may wait in a group before publishers of its topic wait for room; given-back ones count. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes. A larger event is still taken when the queue is empty. 0 means 64 MiB.
	BufferBytes int
	// History is how many events a topic keeps for groups that are declared later. 0 means 1,000.
	History int
	// NoHistory keeps none.
	NoHistory bool
	// HistoryBytes bounds their size in bytes. 0 means 16 MiB.
	HistoryBytes int
	// MaxEventBytes is the largest event. 0 means 1 MiB.
	MaxEventBytes int
	// LeaseDuration is after how long without extension a lease is lost; it is extended three times as often. 0 means 30 s.
	LeaseDuration time.Duration
	// FullTimeout is how long a publish waits for room before the rest of it is refused with [leat.CodeExhausted], so that a handler
	// which publishes to its own full topic fails instead of waiting for itself. 0 means 10 s.
	FullTimeout time.Duration
	// Provision says what Declare does about what does not exist.
	Provision Provision
	// Mapping makes events of what [Broker.DeliverRaw] stores, so that a service that reads foreign messages can be tried without their
	// broker. Nil means none: all of it is malformed.
	Mapping foreign.Mapping
}

// withDefaults returns a copy of o with its defaults filled in. o may be nil.
func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	orDefault(&d.Buffer, 10_000)
	orDefault(&d.BufferBytes, 64<<20)
	orDefault(&d.History, 1_000)
	orDefault(&d.HistoryBytes, 16<<20)
	orDefault(&d.MaxEventBytes, 1<<20)
	orDefault(&d.LeaseDuration, 30*time.Second)
	orDefault(&d.FullTimeout, 10*time.Second)
	return d
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

const (
	most    = 1 << 40
	longest = 365 * 24 * time.Hour
)

// validate returns the first thing that is wrong with options as they were given.
func (o *Options) validate() error {
	if o == nil {
		return nil
	}
	if o.NoHistory && o.History != 0 {
		return secrets.Text("Options.History and Options.NoHistory contradict each other; set one of them")
	}
	return cmp.Or(
		ranges.Int("Options.Buffer", o.Buffer, 1, most),
		ranges.Int("Options.BufferBytes", o.BufferBytes, 1, most),
		ranges.Int("Options.History", o.History, 1, most),
		ranges.Int("Options.HistoryBytes", o.HistoryBytes, 1, most),
		ranges.Int("Options.MaxEventBytes", o.MaxEventBytes, 1, most),
		ranges.Duration("Options.LeaseDuration", o.LeaseDuration, time.Nanosecond, longest),
		ranges.Duration("Options.FullTimeout", o.FullTimeout, time.Nanosecond, longest),
		ranges.Enum("Options.Provision", o.Provision, ProvisionOff),
	)
}

// Open makes a [Broker] from a URL: mem:// with any of the parameters buffer, buffer_bytes, history, history_bytes and max_event_bytes
// (numbers), no_history (true, false), lease_duration and full_timeout (durations such as 30s), and provision (create, verify, off), named
// after the fields of [Options]. Each call makes a broker of its own; nothing is shared by name, so a URL with a host or path is refused.
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names parameters and ranges, and quotes nothing of
// the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	invalid := func(err error) error { return &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: err} }
	if u == nil {
		return nil, invalid(secrets.Text("no URL"))
	}
	if u.Host != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" || u.Fragment != "" {
		return nil, invalid(secrets.Text("mem:// takes parameters only: each memory broker is private, so it has no name"))
	}
	o, err := readOptions(params.FromURL(u))
	if err == nil {
		err = o.validate()
	}
	if err != nil {
		return nil, invalid(err)
	}
	return New(&o), nil
}

func readOptions(p *params.Reader) (Options, error) {
	for was, name := range map[string]string{
		"bufferbytes": "buffer_bytes", "historybytes": "history_bytes", "maxeventbytes": "max_event_bytes", "lease": "lease_duration",
		"fulltimeout": "full_timeout",
	} {
		p.Renamed(was, name)
	}
	ways := []string{"create", "verify", "off"}
	o := Options{
		Buffer:        p.Int("buffer", 0, 1, most),
		BufferBytes:   p.Int("buffer_bytes", 0, 1, most),
		History:       p.Int("history", 0, 1, most),
		NoHistory:     p.Bool("no_history", false),
		HistoryBytes:  p.Int("history_bytes", 0, 1, most),
		MaxEventBytes: p.Int("max_event_bytes", 0, 1, most),
		LeaseDuration: p.Duration("lease_duration", 0, time.Millisecond, longest),
		FullTimeout:   p.Duration("full_timeout", 0, time.Millisecond, longest),
		Provision:     Provision(slices.Index(ways, p.Enum("provision", ways[0], ways...))),
	}
	return o, p.Err()
}
