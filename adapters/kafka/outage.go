package kafka

import (
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

	mu      sync.Mutex
	failing map[string]time.Time // when each broker that has not answered since has failed last
	ended   time.Time
}

func newOutage(o *Options) *outage {
	return &outage{incident: fault.Incident{Logger: o.Logger}, hosts: strings.Join(o.Hosts, ","), failing: map[string]time.Time{}}
}

// outageMemory is how long a broker counts that has failed and is not asked any more: its
// partitions have another leader. One that is asked fails again sooner, also where it takes
// connections and says nothing.
const outageMemory = 30 * time.Second

// failed notes that a broker does not answer, or refuses the client. The lock of the caller is
// free.
func (o *outage) failed(host string, err error) {
	if o == nil {
		return
	}
	if host == "" {
		host = o.hosts
	}
	o.mu.Lock()
	o.failing[host] = time.Now()
	o.open.Store(true)
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
	if o == nil || !o.open.Load() {
		return
	}
	host, now := hostOf(meta), time.Now()
	o.mu.Lock()
	delete(o.failing, host)
	delete(o.failing, o.hosts)
	for other, last := range o.failing {
		if now.Sub(last) >= outageMemory {
			delete(o.failing, other)
		}
	}
	over := len(o.failing) == 0
	if over {
		o.ended = now
		o.open.Store(false)
	}
	o.mu.Unlock()
	if over {
		lineOutageOver.well(&o.incident, host)
	}
}

// within reports whether there is an outage, or was one for less than d.
func (o *outage) within(d time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open.Load() || time.Since(o.ended) < d
}

// hostOf returns the address of a broker.
func hostOf(meta kgo.BrokerMetadata) string {
	return net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
}
