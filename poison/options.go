package poison

import (
	"cmp"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/internal/nils"
	"github.com/leatgo/leat/internal/ranges"
)

var (
	errNoBrowser = errors.New("the broker cannot show what a group has without taking it (leat.Browser)")
	errNoHandler = errors.New("the handler is nil; give the one of the consumer")
	errNoBroker  = errors.New("the broker is nil")
)

// ReplayOptions are the options of [Replay]. The zero value works.
type ReplayOptions struct {
	// Topic is the poison topic, as in [PeekOptions].
	Topic string
	// Filter chooses what is replayed. What it does not choose stays in the queue, in its place. It
	// is called by several goroutines at once, and more than once for an event. Nil means all.
	Filter Filter
	// Limit is how many events are replayed at most, the first ones that Filter chooses. 0 means
	// all.
	Limit int
	// UntilEmpty also replays what comes into the queue while Replay runs, until nothing has come
	// for Idle. An event that this Replay has put back is not replayed again. Without it, Replay
	// ends with the last event that was in the queue when it began.
	UntilEmpty bool
	// DryRun only counts: nothing is replayed.
	DryRun bool
	// Rate is how many events are replayed in a second at most, retries included. 0 means no limit.
	Rate float64
	// Concurrency is how many events are replayed at once, those of one key one after the other. 0
	// means 16.
	Concurrency int
	// MaxHeld is how many events may stay unsettled while the replay goes on: those that are not
	// chosen, those that came after the beginning, and those that were put back. With more of them
	// in front of what is still to be replayed, Replay ends with [leat.CodeExhausted]; with
	// UntilEmpty also where that is not known, because the broker cannot show the queue. 0 means
	// 10,000.
	MaxHeld int
	// MaxHeldBytes is how many bytes they may have. 0 means 64 MiB.
	MaxHeldBytes int
	// Idle is how long nothing has to come before Replay takes the queue for empty, or for taken by
	// somebody else. A Replay that waits for its turn on RabbitMQ, where one at a time reads the
	// queue, is not idle: it ends after the other one. 0 means 5 s.
	Idle time.Duration
	// Failed is called for each event that failed again, with the error, after it was put back. It
	// is called by several goroutines at once. A panic of it is logged. Nil means nobody is.
	Failed func(Entry, error)
	// Logger gets what an operator should know, never a payload. Nil means no log.
	Logger *slog.Logger
}

// DropOptions are the options of [Drop]. The zero value drops everything.
type DropOptions struct {
	// Topic is the poison topic, as in [PeekOptions].
	Topic string
	// Filter chooses what is dropped, as in [ReplayOptions].
	Filter Filter
	// Limit is how many events are dropped at most, as in [ReplayOptions].
	Limit int
	// DryRun only counts.
	DryRun bool
	// MaxHeld, MaxHeldBytes, Idle and Logger are those of [ReplayOptions].
	MaxHeld, MaxHeldBytes int
	Idle                  time.Duration
	Logger                *slog.Logger
}

func (o *ReplayOptions) withDefaults() ReplayOptions {
	filled := ReplayOptions{}
	if o != nil {
		filled = *o
	}
	filled.MaxHeld = cmp.Or(filled.MaxHeld, 10_000)
	filled.MaxHeldBytes = cmp.Or(filled.MaxHeldBytes, 64<<20)
	filled.Concurrency = cmp.Or(filled.Concurrency, 16)
	filled.Idle = cmp.Or(filled.Idle, 5*time.Second)
	return filled
}

// check returns what is wrong with the arguments of a Replay or Drop.
func (o *ReplayOptions) check(broker leat.Broker, queue leat.Subscription, h leat.Handler) error {
	const longest = 24 * time.Hour
	err := cmp.Or(
		ranges.Int("Limit", o.Limit, 1, math.MaxInt32),
		ranges.Int("Concurrency", o.Concurrency, 1, 1_000_000),
		ranges.Int("MaxHeld", o.MaxHeld, 1, 10_000_000),
		ranges.Int("MaxHeldBytes", o.MaxHeldBytes, 1, 1<<40),
		ranges.Duration("Idle", o.Idle, time.Millisecond, longest),
	)
	switch {
	case nils.Is(broker):
		err = errNoBroker
	case nils.Is(h):
		err = errNoHandler
	case err == nil && (o.Rate < 0 || math.IsNaN(o.Rate)):
		err = errors.New("the Rate is negative or not a number; use a positive one, or 0 for no limit")
	}
	if err != nil {
		return &leat.Error{Op: "replay", Topic: queue.Topic, Code: leat.CodeInvalid, Err: err}
	}
	return queue.Validate()
}
