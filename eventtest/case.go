package eventtest

import (
	"slices"

	"github.com/leatgo/leat"
)

// Level says what a [Case] drives.
type Level string

// The levels of a [Case].
const (
	// Raw cases drive leat.Broker and leat.Stream themselves.
	Raw Level = "raw"
	// Whole cases drive a leat.Producer and a leat.Consumer over the adapter.
	Whole Level = "whole"
)

// Case is one case of the suite, as data.
type Case struct {
	// Name is short and stable: "nil-means-durable".
	Name string
	// Rule is what must hold, in words, with the number of the contract's rule where it has one.
	Rule string
	// Level says what the case drives.
	Level Level
	// Needs names what the case cannot do without; empty means nothing.
	Needs []Need
	// alone says that the case measures something that belongs to the whole process.
	alone bool
	// check fails r when the rule is broken.
	check func(r *run)
}

// Need is something that a case cannot do without. A case is skipped where it is absent, and only
// there.
type Need string

// What cases may need: a control of the [Harness], or a capability that the stream declares.
const (
	NeedInject    Need = "the harness can inject raw messages (Injector)"
	NeedInjectKey Need = "the harness can inject events with a key of the transport (KeyInjector)"
	NeedKill      Need = "the harness can kill the broker (Killer)"
	NeedPause     Need = "the harness can pause the broker (Pauser)"
	NeedCut       Need = "the harness can cut connections (Cutter)"
	NeedExpire    Need = "the harness can expire leases (Expirer)"
	NeedStray     Need = "the harness can open the adapter where nobody listens (Stray)"
	NeedIsolate   Need = "the harness can isolate a client (Isolator)"
	NeedDrop      Need = "the harness can make a client vanish (Dropper)"
	NeedHeld      Need = "the harness can ask the broker what is unsettled (Holder)"
	NeedLeaseTime Need = "the harness knows how long a lease lasts (LeaseTimer)"
	NeedGroups    Need = "a topic has several groups (the harness is not a OneGroup)"

	NeedOrder         Need = "the stream keeps order per group (Capabilities.Order)"
	NeedHistory       Need = "later groups get history (Capabilities.History)"
	NeedDurable       Need = "events survive the broker (Capabilities.Durable)"
	NeedDeliveryCount Need = "deliveries are counted (Capabilities.DeliveryCount)"
	NeedDelay         Need = "the broker can delay (Capabilities.LongestDelay)"
	NeedBroadcast     Need = "the broker can broadcast"
	NeedDeclare       Need = "the adapter declares topology (leat.Declarer)"
	NeedLag           Need = "the adapter tells the lag of a group (leat.LagReporter)"
	NeedBrowse        Need = "the adapter shows what a group has not finished (leat.Browser)"
)

// control returns what tells whether a harness has the control that is needed; nil where the need
// is none of the harness.
func (n Need) control() func(h Harness) bool {
	switch n {
	case NeedInject:
		return has[Injector]
	case NeedInjectKey:
		return has[KeyInjector]
	case NeedKill:
		return has[Killer]
	case NeedPause:
		return has[Pauser]
	case NeedCut:
		return has[Cutter]
	case NeedExpire:
		return has[Expirer]
	case NeedStray:
		return has[Stray]
	case NeedIsolate:
		return has[Isolator]
	case NeedDrop:
		return has[Dropper]
	case NeedHeld:
		return has[Holder]
	case NeedLeaseTime:
		return has[LeaseTimer]
	case NeedGroups:
		return func(h Harness) bool { return !has[OneGroup](h) }
	}
	return nil
}

func has[Control any](h Harness) bool {
	_, ok := h.(Control)
	return ok
}

// offered reports whether a group has what is needed.
func (n Need) offered(o offer) bool {
	switch c := o.capabilities; n {
	case NeedOrder:
		return c.Order == leat.OrderPerGroup
	case NeedHistory:
		return c.History
	case NeedDurable:
		return c.Durable
	case NeedDeliveryCount:
		return c.DeliveryCount
	case NeedDelay:
		return c.LongestDelay > 0
	case NeedDeclare:
		return o.declares
	case NeedLag:
		return o.lags
	case NeedBrowse:
		return o.browses
	case NeedBroadcast:
		return o.broadcasts
	}
	return false
}

// ownsBroker reports whether no other case may run on the same broker: it takes the broker away.
func (c *Case) ownsBroker() bool {
	return slices.ContainsFunc(c.Needs, func(n Need) bool { return n == NeedKill || n == NeedPause || n == NeedCut })
}
