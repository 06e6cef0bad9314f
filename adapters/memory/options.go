package memory

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat"
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

// parameters are what [Open] knows, each with what it does to the options.
var parameters = map[string]func(o *Options, value string) error{
	"buffer":        positive(func(o *Options) *int { return &o.Buffer }),
	"bufferbytes":   positive(func(o *Options) *int { return &o.BufferBytes }),
	"historybytes":  positive(func(o *Options) *int { return &o.HistoryBytes }),
	"maxeventbytes": positive(func(o *Options) *int { return &o.MaxEventBytes }),
	"lease":         duration(func(o *Options) *time.Duration { return &o.LeaseDuration }),
	"fulltimeout":   duration(func(o *Options) *time.Duration { return &o.FullTimeout }),
	"history": func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return errors.New("must be a whole number, 0 for no history")
		}
		if o.History = n; n == 0 {
			o.History = -1 // in Options, 0 means the default
		}
		return nil
	},
	"provision": func(o *Options, value string) error {
		i := slices.Index([]string{"create", "verify", "off"}, value)
		if i < 0 {
			return errors.New("must be create, verify or off")
		}
		o.Provision = Provision(i)
		return nil
	},
}

func positive(field func(*Options) *int) func(*Options, string) error {
	return func(o *Options, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return errors.New("must be a whole number above 0")
		}
		*field(o) = n
		return nil
	}
}

func duration(field func(*Options) *time.Duration) func(*Options, string) error {
	return func(o *Options, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return errors.New("must be a duration above 0, such as 30s")
		}
		*field(o) = d
		return nil
	}
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
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, invalid("the parameters cannot be read: %w", err)
	}
	var o Options
	for _, name := range sortedKeys(query) {
		set, known := parameters[name]
		if !known {
			return nil, invalid("unknown parameter %.64q; the known ones are %s", name, strings.Join(sortedKeys(parameters), ", "))
		}
		if len(query[name]) > 1 {
			return nil, invalid("parameter %s is given %d times", name, len(query[name]))
		}
		if err := set(&o, query[name][0]); err != nil {
			return nil, invalid("parameter %s=%.64q %w; the known parameters are %s", name, query[name][0], err,
				strings.Join(sortedKeys(parameters), ", "))
		}
	}
	return New(&o), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
