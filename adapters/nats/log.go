package nats

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/leatgo/leat/adapterkit/fault"
)

// calmAfter is how long nothing may be reported until an incident of reports is over. A request
// that is denied is repeated sooner.
const calmAfter = time.Minute

// journal writes the log of a broker's connections: a line for the beginning and one for the end of
// an outage, whichever of the connections is lost, and of what the client and the servers report
// while there is a connection. docs/operations.md lists the lines.
type journal struct {
	outage, reports fault.Incident

	mu       sync.Mutex
	down     map[string]bool // the roles of the links that are lost, or have failed to connect
	reported time.Time       // the last report; zero while an incident of them is over
}

func newJournal(logger *slog.Logger) *journal {
	j := &journal{down: map[string]bool{}}
	j.outage.Logger, j.reports.Logger = logger, logger
	return j
}

// lost notes that a connection is lost.
func (j *journal) lost(role, host string, err error) {
	j.fell(role)
	j.outage.Wrong("the connection to NATS is lost", "lost", err, about(role, host, err)...)
}

// failed notes that a connection cannot be made.
func (j *journal) failed(role, host string, err error) {
	j.fell(role)
	j.outage.Wrong("cannot connect to NATS", codeOf(err).String(), err, about(role, host, err)...)
}

func (j *journal) fell(role string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.down[role] = true
}

// connected notes that a connection is made. The outage is over when it was the last one missing.
func (j *journal) connected(role, host string) {
	j.mu.Lock()
	delete(j.down, role)
	over := len(j.down) == 0
	j.mu.Unlock()
	if over {
		j.outage.Well("connected to NATS again", slog.String("host", host))
	}
}

// report notes what is wrong although there is a connection. The client reports a denied subject
// again for each message, so what differs in what is quoted only has one line.
func (j *journal) report(role, host string, err error) {
	j.mu.Lock()
	j.reported = time.Now()
	j.mu.Unlock()
	kind, _, _ := strings.Cut(err.Error(), `"`)
	j.reports.Wrong("the NATS client reports an error", kind, err, about(role, host, err)...)
}

// calm ends an incident of reports when there was none for a while. It is called once a second or
// so.
func (j *journal) calm() {
	j.mu.Lock()
	over := !j.reported.IsZero() && time.Since(j.reported) >= calmAfter
	if over {
		j.reported = time.Time{}
	}
	j.mu.Unlock()
	if over {
		j.reports.Well("the NATS client reports no errors any more")
	}
}

// about returns the attributes of a line about a connection.
func about(role, host string, err error) []slog.Attr {
	return []slog.Attr{
		slog.String("host", host), slog.String("purpose", role), slog.String("code", codeOf(err).String()),
	}
}
