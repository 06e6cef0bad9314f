package memory

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/foreign"
	"github.com/leatgo/leat/internal/params"
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

// Options are the options of a [Broker]. The zero value works: a field that is zero or out of range has its default.
type Options struct {
	// Buffer is how many events may wait in a group before publishers of its topic wait for room; given-back ones count. 0
	// means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes. A larger event is still taken when the queue is empty. 0 means 64 MiB.
	BufferBytes int
	// History is how many events a topic keeps for groups that are declared later. 0 means 1,000, a negative number none.
	History int
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
	fill := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&d.Buffer, 10_000)
	fill(&d.BufferBytes, 64<<20)
	if d.History == 0 {
		d.History = 1_000
	}
	fill(&d.HistoryBytes, 16<<20)
	fill(&d.MaxEventBytes, 1<<20)
	if d.LeaseDuration <= 0 {
		d.LeaseDuration = 30 * time.Second
	}
	if d.FullTimeout <= 0 {
		d.FullTimeout = 10 * time.Second
	}
	if d.Provision > ProvisionOff {
		d.Provision = ProvisionCreate
	}
	return d
}

// Open makes a [Broker] from a URL: mem:// with any of the parameters buffer, bufferbytes, history, historybytes and maxeventbytes
// (numbers; history=0 means none), lease and fulltimeout (durations such as 30s), and provision (create, verify, off), named after
// the fields of [Options]. Each call makes a broker of its own; nothing is shared by name, so a URL with a host or path is refused.
// A parameter that is unknown, repeated or wrong is an error with [leat.CodeInvalid] that names it.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	invalid := func(format string, args ...any) error {
		return &leat.Error{Op: "open", Code: leat.CodeInvalid, Err: fmt.Errorf(format, args...)}
	}
	if u == nil {
		return nil, invalid("no URL")
	}
	if u.Host != "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Opaque != "" || u.Fragment != "" {
		return nil, invalid("mem:// takes parameters only: each memory broker is private, so it has no name")
	}
	o, err := readOptions(params.FromURL(u))
	if err != nil {
		return nil, invalid("%w", err)
	}
	return New(&o), nil
}

func readOptions(p *params.Reader) (Options, error) {
	const (
		most    = 1 << 40
		longest = 365 * 24 * time.Hour
	)
	o := Options{
		Buffer:        p.Int("buffer", 0, 1, most),
		BufferBytes:   p.Int("bufferbytes", 0, 1, most),
		History:       p.Int("history", -1, 0, most),
		HistoryBytes:  p.Int("historybytes", 0, 1, most),
		MaxEventBytes: p.Int("maxeventbytes", 0, 1, most),
		LeaseDuration: p.Duration("lease", 0, time.Millisecond, longest),
		FullTimeout:   p.Duration("fulltimeout", 0, time.Millisecond, longest),
	}
	switch o.History { // where the Options have 0 for the default and less for none
	case -1:
		o.History = 0
	case 0:
		o.History = -1
	}
	ways := []string{"create", "verify", "off"}
	o.Provision = Provision(slices.Index(ways, p.Enum("provision", ways[0], ways...)))
	return o, p.Err()
}
