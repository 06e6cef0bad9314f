package eventtest

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/memory"
	"github.com/leatgo/leat/internal/ranges"
)

var _ leat.Observer = (*Recorder)(nil)

// RecorderOptions are the options of a [Recorder]. The zero value works.
type RecorderOptions struct {
	// Broker is the broker to record; the test closes it. Nil means a broker in memory of the
	// Recorder's own, which keeps all events for groups that are declared later. It is strict
	// ([memory.ProvisionStrict]): as on Kafka and RabbitMQ, a topic that nobody declared is not
	// there, so that the test finds the producer without [leat.ProducerOptions].Topics.
	//
	// Whatever is wrapped here, all events should go through the Recorder, both ways. An event that
	// somebody else published is recorded, and counts, from its first delivery on. Where streams
	// have a history, a group that comes later is expected to get all of it, so that history should
	// be long enough.
	Broker leat.Broker
	// Topics are declared on the broker: those of services that the test does not run.
	Topics []string
	// AnyTopic lets every publish to the Recorder's own broker create its topic. It is not for a
	// Broker.
	AnyTopic bool
	// Timeout bounds [Recorder.Settled] and [Recorder.Start]. 0 means 10 s, or 24 h of the fake
	// time in a bubble of testing/synctest, which pass at once when nothing is left to do.
	Timeout time.Duration
	// KeepWaiting lets [Recorder.Wait] go on when an event is stuck, which is to say given up
	// without a poison queue. Such an event cannot settle while its consumer runs, so a wait fails
	// at once otherwise.
	KeepWaiting bool
}

// Recorder is a broker for tests of applications: it records what goes through it, knows when all
// of it is settled, and draws what caused what. The application gets [Recorder.Open] as its Opener,
// or [Recorder.Broker] as its Broker, and is otherwise the one that runs in production. What a
// broker cannot see, which is what a Consumer does between delivery and settlement, the Recorder
// sees as the Observer of [leat.ConsumerOptions]:
//
//	leat.ConsumerOptions{Observer: rec}
//
// Without that it still knows when everything is settled. But attempts, retries, pauses and
// rejections are not in its records; a skipped event counts as handled; and a wait does not notice
// that an event is stuck or that a lease was lost, until the event comes again.
//
// In a bubble of testing/synctest, make the Recorder inside it. All methods may be called from
// several goroutines at once.
type Recorder struct {
	broker leat.Broker
	o      RecorderOptions
	began  time.Time

	mu         sync.Mutex
	history    bool // groups of any topic get what was published before them
	topics     map[string]*topicLog
	published  []*publication // in order
	records    Records
	publishing int           // publishes without an outcome
	open       int           // visits that are not settled
	stuck      int           // of them, those that are stuck
	changed    chan struct{} // closed, and made anew, when open and publishing are 0, when one gets stuck, and when a stream opens
	quiet      uint64        // how often open and publishing came to be 0
}

// NewRecorder returns a Recorder, which ends with the test t. A nil o means the defaults.
func NewRecorder(t testing.TB, o *RecorderOptions) *Recorder {
	t.Helper()
	r := &Recorder{began: time.Now(), topics: map[string]*topicLog{}, changed: make(chan struct{})}
	if o != nil {
		r.o = *o
	}
	if err := ranges.Duration("RecorderOptions.Timeout", r.o.Timeout, 1, 365*24*time.Hour); err != nil {
		t.Fatalf("eventtest: %v", err)
	}
	if r.o.Timeout == 0 {
		r.o.Timeout = defaultTimeout(r.began)
	}
	r.broker = r.o.Broker
	if r.broker == nil {
		provision := memory.ProvisionStrict
		if r.o.AnyTopic {
			provision = memory.ProvisionCreate
		}
		r.broker, r.history = memory.New(&memory.Options{History: 1 << 40, HistoryBytes: 1 << 40, Provision: provision}), true
		t.Cleanup(func() {
			if err := r.broker.Close(); err != nil {
				t.Errorf("eventtest: closing the broker of the Recorder: %v", err)
			}
		})
	} else if r.o.AnyTopic {
		t.Fatalf("eventtest: RecorderOptions.AnyTopic is not for a Broker; set what it needs there")
	}
	for _, topic := range r.o.Topics {
		if err := leat.Declare(context.Background(), r.broker, leat.Subscription{Topic: topic}); err != nil {
			t.Fatalf("eventtest: declaring RecorderOptions.Topics: %v", err)
		}
	}
	return r
}

// defaultTimeout tells fake time by its beginning: a bubble of testing/synctest starts at midnight
// UTC of 2000-01-01.
func defaultTimeout(now time.Time) time.Duration {
	if now.Year() < 2010 {
		return 24 * time.Hour
	}
	return 10 * time.Second
}

// Observe implements [leat.Observer]. Deliveries that did not come from this Recorder, and
// publishes, it does not need to be told of.
func (r *Recorder) Observe(o leat.Observation) {
	if o.Delivery == nil {
		return
	}
	if f, ok := o.Delivery.Handle.(*flight); ok && f.stream.conn.r == r {
		r.observed(f, o)
	}
}

// Broker returns a connection to the recorded broker. Every call returns a new one, whose Close
// ends it and its streams as that of a real connection would, and nothing else: events and groups
// stay for the next one.
func (r *Recorder) Broker() leat.Broker {
	return &recorderConn{r: r, streams: map[*recorderStream]bool{}}
}

// Open is a [leat.Opener] that returns [Recorder.Broker], whatever the URL is. With it in its
// Openers, an application meets the Recorder under the scheme that it uses in production:
//
//	leat.Openers{"kafka": rec.Open}
func (r *Recorder) Open(context.Context, *url.URL) (leat.Broker, error) { return r.Broker(), nil }

// Start runs an application, such as a function that calls [leat.Run], and returns when each of the
// groups has a stream, so that it counts what is published from then on. The application stops, and
// its error fails the test, when stop is called or else when the test ends; stop returns when it
// has. A group is named as its subscription does; [BroadcastGroup] is any broadcast.
func (r *Recorder) Start(t testing.TB, run func(ctx context.Context) error, groups ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx); err != nil {
			t.Errorf("eventtest: the application ended with an error: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	timer := time.NewTimer(r.o.Timeout)
	defer timer.Stop()
	for {
		missing, changed := r.missing(groups)
		if len(missing) == 0 {
			return stop
		}
		select {
		case <-changed:
		case <-ended:
			t.Fatalf("eventtest: the application ended before it subscribed as %q", missing)
			return stop
		case <-timer.C:
			t.Fatalf("eventtest: after %v the application has not subscribed as %q", r.o.Timeout, missing)
			return stop
		}
	}
}

// missing returns the groups without a stream, and a channel that tells when to look again.
func (r *Recorder) missing(groups []string) ([]string, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := map[string]bool{}
	for _, topic := range r.topics {
		for _, g := range topic.groups {
			running[g.name] = running[g.name] || g.streams > 0
		}
	}
	var missing []string
	for _, name := range groups {
		if !running[name] {
			missing = append(missing, name)
		}
	}
	return missing, r.changed
}

// Records returns everything that was recorded so far.
func (r *Recorder) Records() Records {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(Records(nil), r.records...)
}

// Published returns what the broker confirmed.
func (r *Recorder) Published() Records { return r.Records().Kind(RecordPublished) }

// Handled returns what the group handled successfully. An event that was delivered again after that
// is in it again.
func (r *Recorder) Handled(group string) Records { return r.Records().Kind(RecordHandled).Group(group) }

// Retried returns the group's attempts that failed and are followed by another. They are seen where
// the Recorder is the Observer.
func (r *Recorder) Retried(group string) Records { return r.Records().Kind(RecordRetried).Group(group) }

// Poisoned returns what the group gave up and its poison queue has.
func (r *Recorder) Poisoned(group string) Records {
	return r.Records().Kind(RecordPoisoned).Group(group)
}
