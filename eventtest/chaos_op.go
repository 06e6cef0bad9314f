package eventtest

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/leatgo/leat"
)

// opKind is what a service asks the scheduler for.
type opKind uint8

const (
	opPublish opKind = iota + 1
	opEffect
	opSettle
)

// op is a call of a service that waits for the scheduler, or a settlement, for which nobody waits.
type op struct {
	kind     opKind
	h        *handle
	out      *handout // the delivery whose handler asks; nil where that is not known
	topic    string
	event    leat.Event
	effect   string
	once     bool // the effect takes place unless it has
	action   leat.Action
	answer   chan answer
	decided  bool
	canceled bool
}

// answer is what the scheduler says to an op.
type answer struct {
	code leat.Code // of a publish that failed
	err  error
	last bool // the service crashes right after
	// skipped says that an effect has taken place before, and that once is enough.
	skipped bool
}

// cancel withdraws an op unless it was decided.
func (o *op) cancel() bool {
	if o.decided {
		return false
	}
	o.canceled = true
	if o.out != nil {
		o.out.acts--
	}
	return true
}

// compareOps is an order for ops that came at once, which does not depend on which goroutine was
// first.
func compareOps(a, b *op) int {
	return cmp.Or(
		cmp.Compare(a.h.service.index, b.h.service.index), cmp.Compare(a.kind, b.kind), strings.Compare(a.topic, b.topic),
		compareOuts(a.out, b.out), strings.Compare(a.event.Type(), b.event.Type()), strings.Compare(a.event.Key(), b.event.Key()),
		strings.Compare(a.effect, b.effect),
	)
}

func compareOuts(a, b *handout) int {
	switch {
	case a == nil || b == nil:
		return cmp.Compare(strconv.FormatBool(a != nil), strconv.FormatBool(b != nil))
	default:
		return cmp.Or(strings.Compare(a.topic, b.topic), strings.Compare(a.lane.group.name, b.lane.group.name), cmp.Compare(a.offset, b.offset))
	}
}

// verbs of settlements in the timeline.
func settleVerb(a leat.Action) string {
	switch a {
	case leat.GiveBack:
		return "give-back"
	case leat.NativeReject:
		return "reject"
	default:
		return "ack"
	}
}
