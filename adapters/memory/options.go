package memory

import (
	"context"
	"net/url"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
)

// Provision says what [Broker.Declare] does about topics and groups that do not exist.
type Provision uint8

// The ways of provisioning.
const (
	// ProvisionCreate creates them; publishing to a topic that does not exist creates it too. It is
	// the default.
	ProvisionCreate Provision = iota
	// ProvisionStrict creates them, and nothing else does, as on Kafka and RabbitMQ: publishing to
	// a topic that nobody declared, and a broadcast of one, is an error with [leat.CodeNotFound].
	ProvisionStrict
	// ProvisionVerify reports them with [leat.CodeNotFound].
	ProvisionVerify
	// ProvisionOff does nothing.
	ProvisionOff
)

// Options are the options of a [Broker]. The zero value works. With a field that is out of its
// range, every call of the Broker, and with it Run, returns an error with [leat.CodeInvalid] that
// names the field and the range.
type Options struct {
	// Buffer is how many events may wait in a group before publishers of its topic wait for room;
	// given-back ones count. 0 means 10,000.
	Buffer int
	// BufferBytes bounds their size in bytes. A larger event is still taken when the queue is
	// empty. 0 means 64 MiB.
	BufferBytes int
	// History is how many events a topic keeps for groups that are declared later. 0 means 1,000.
	History int
	// NoHistory keeps none.
	NoHistory bool
	// HistoryBytes bounds their size in bytes. 0 means 16 MiB.
	HistoryBytes int
	// MaxEventBytes is the largest event. 0 means 1 MiB.
	MaxEventBytes int
	// LeaseDuration is after how long without extension a lease is lost; it is extended three times
	// as often. 0 means 30 s.
	LeaseDuration time.Duration
	// FullTimeout is how long a publish waits for room before the rest of it is refused with
	// [leat.CodeExhausted], so that a handler which publishes to its own full topic fails instead
	// of waiting for itself. 0 means 10 s.
	FullTimeout time.Duration
	// Provision says what Declare does about what does not exist.
	Provision Provision
	// Mapping makes events of what [Broker.DeliverRaw] stores, so that a service that reads foreign
	// messages can be tried without their broker. Nil means none: all of it is malformed.
	Mapping foreign.Mapping
}

const (
	most    = 1 << 40
	longest = 365 * 24 * time.Hour
)

func (o *Options) table() options.Table {
	return options.Table{
		options.Int("Buffer", &o.Buffer, 10_000, 1, most),
		options.Int("BufferBytes", &o.BufferBytes, 64<<20, 1, most),
		options.Int("History", &o.History, 1_000, 1, most),
		options.Bool("NoHistory", &o.NoHistory),
		options.Int("HistoryBytes", &o.HistoryBytes, 16<<20, 1, most),
		options.Int("MaxEventBytes", &o.MaxEventBytes, 1<<20, 1, most),
		options.Duration("LeaseDuration", &o.LeaseDuration, 30*time.Second, time.Nanosecond, longest),
		options.Duration("FullTimeout", &o.FullTimeout, 10*time.Second, time.Nanosecond, longest),
		options.Enum("Provision", &o.Provision, "create", "strict", "verify", "off"),
	}
}

// validate returns the first thing that is wrong with options as they were given.
func (o *Options) validate() error {
	if o.NoHistory && o.History != 0 {
		return options.Reason("Options.History and Options.NoHistory contradict each other; set one of them")
	}
	return o.table().Check()
}

// Open makes a [Broker] from a URL: mem:// with any of the parameters buffer, buffer_bytes,
// history, history_bytes and max_event_bytes (numbers), no_history (true, false), lease_duration
// and full_timeout (durations such as 30s), and provision (create, strict, verify, off), named
// after the fields of [Options]. Each call makes a broker of its own; nothing is shared by name, so
// a URL with a host or path is refused. [NewOpener] is for brokers with a name. A parameter that is
// unknown, repeated or wrong is an error with [leat.CodeInvalid]. It names parameters and ranges,
// and quotes nothing of the URL.
func Open(_ context.Context, u *url.URL) (leat.Broker, error) {
	return options.Open(u, (*Options).read, checked)
}

// OptionsFromURL returns the [Options] that [Open] makes of u, to be changed and passed to [New]:
// for what is code and so is not in a URL, such as Mapping. Its errors are those of Open.
func OptionsFromURL(u *url.URL) (*Options, error) { return options.FromURL(u, (*Options).read) }

// OpenWith returns [Open] with options that the application changes before the [Broker] is made:
//
//	brokers := leat.Openers{"mem": memory.OpenWith(func(o *memory.Options) { o.Mapping = mapping })}
func OpenWith(change func(*Options)) leat.Opener {
	return options.OpenWith((*Options).read, change, checked)
}

// checked is New with an error.
func checked(o *Options) (*Broker, error) {
	b := New(o)
	return b, options.Invalid(b.invalid)
}

func (o *Options) read(r *options.Reader) {
	o.table().Read(r)
	r.Renamed("lease", "lease_duration")
	r.NoPath(private)
	if u := r.URL(); u.Host != "" || u.User != nil {
		r.Wrong(private)
	}
}

const private options.Reason = "mem:// takes parameters only: with Open each memory broker is private, so it has no name; " +
	"memory.NewOpener makes an Opener that knows mem://name"
