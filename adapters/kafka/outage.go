package kafka

import (
	"cmp"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// outage writes the log of brokers that do not answer: a line when it begins, and one when all of
// them answer again. The clients of a Broker share it, because they have the same brokers. The
// methods of a nil outage do nothing.
type outage struct {
	incident fault.Incident
	hosts    string // for errors of which nobody knows the broker
	open     atomic.Bool
	waiting  atomic.Bool // an answer is worth a look: there is something in failing or in ending

	mu      sync.Mutex
	failing map[string]time.Time // when each broker that has not answered since has failed last
	ending  map[string]ending    // the brokers that have ended a connection and not answered since
	ended   time.Time
}

// ending is when a broker has ended a connection for the first and for the last time.
type ending struct{ first, last time.Time }

func newOutage(o *Options) *outage {
	return &outage{
		incident: fault.Incident{Logger: o.Logger}, hosts: strings.Join(o.Hosts, ","),
		failing: map[string]time.Time{}, ending: map[string]ending{},
	}
}

// outageMemory is how long a broker counts that has failed and is not asked any more: its
// partitions have another leader. One that is asked fails again sooner, also where it takes
// connections and says nothing.
const outageMemory = 30 * time.Second

// keepsEnding notes that a broker has ended a connection, and reports whether it does not answer on
// the next ones either. Only that is an outage: the first use of a connection that was cut while
// nobody used it ends like this.
func (o *outage) keepsEnding(host string) bool {
	if o == nil {
		return false
	}
	host, now := cmp.Or(host, o.hosts), time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.ending, func(_ string, e ending) bool { return now.Sub(e.last) >= outageMemory })
	e := o.ending[host]
	if e.first.IsZero() {
		e.first = now
	}
	e.last = now
	o.ending[host] = e
	o.waiting.Store(true)
	return now.Sub(e.first) >= dialPause
}

// failed notes that a broker does not answer, or refuses the client. The lock of the caller is
// free.
func (o *outage) failed(host string, err error) {
	if o == nil {
		return
	}
	host = cmp.Or(host, o.hosts)
	o.mu.Lock()
	o.failing[host] = time.Now()
	o.open.Store(true)
	o.waiting.Store(true)
	o.mu.Unlock()
	code := codeOf(err)
	if code == leat.CodeCanceled { // a timeout of the client's own
		code = leat.CodeUnavailable
	}
	lineOutage.wrong(&o.incident, code.String(), discreet(err), host, code.String())
	if !o.open.Load() { // it was over before there was the line
		lineOutageOver.well(&o.incident, host)
	}
}

// answered notes that a broker has answered a request.
func (o *outage) answered(meta kgo.BrokerMetadata) {
	if o == nil || !o.waiting.Load() {
		return
	}
	host, now := hostOf(meta), time.Now()
	o.mu.Lock()
	for _, answering := range []string{host, o.hosts} {
		delete(o.failing, answering)
		delete(o.ending, answering)
	}
	maps.DeleteFunc(o.failing, func(_ string, last time.Time) bool { return now.Sub(last) >= outageMemory })
	over := o.open.Load() && len(o.failing) == 0
	if over {
		o.ended = now
		o.open.Store(false)
	}
	o.waiting.Store(o.open.Load() || len(o.ending) > 0)
	o.mu.Unlock()
	if over {
		lineOutageOver.well(&o.incident, host)
	}
}

// within reports whether there is an outage, or was one for less than d.
func (o *outage) within(d time.Duration) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open.Load() || time.Since(o.ended) < d
}

// hostOf returns the address of a broker.
func hostOf(meta kgo.BrokerMetadata) string {
	return net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
}
