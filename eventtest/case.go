package eventtest

import "github.com/leatgo/leat"

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
	// check fails r when the rule is broken.
	check func(r *run)
}

// Need is something that a case cannot do without. A case is skipped where it is absent, and only there.
type Need string

// What cases may need: a control of the [Harness], or a capability that the stream declares.
const (
	NeedInject Need = "the harness can inject raw messages (Injector)"
	NeedKill   Need = "the harness can kill the broker (Killer)"
	NeedPause  Need = "the harness can pause the broker (Pauser)"
	NeedCut    Need = "the harness can cut connections (Cutter)"
	NeedExpire Need = "the harness can expire leases (Expirer)"

	NeedOrder         Need = "the stream keeps order per group (Capabilities.Order)"
	NeedHistory       Need = "later groups get history (Capabilities.History)"
	NeedDurable       Need = "events survive the broker (Capabilities.Durable)"
	NeedDeliveryCount Need = "deliveries are counted (Capabilities.DeliveryCount)"
	NeedDelay         Need = "the broker can delay (Capabilities.LongestDelay)"
	NeedBroadcast     Need = "the broker can broadcast"
	NeedDeclare       Need = "the adapter declares topology (leat.Declarer)"
)

// has reports whether the harness and what its streams declare fulfil the need.
func (n Need) has(h Harness, b leat.Broker, c leat.Capabilities, broadcast bool) bool {
	var ok bool
	switch n {
	case NeedInject:
		_, ok = h.(Injector)
	case NeedKill:
		_, ok = h.(Killer)
	case NeedPause:
		_, ok = h.(Pauser)
	case NeedCut:
		_, ok = h.(Cutter)
	case NeedExpire:
		_, ok = h.(Expirer)
	case NeedOrder:
		ok = c.Order == leat.OrderPerGroup
	case NeedHistory:
		ok = c.History
	case NeedDurable:
		ok = c.Durable
	case NeedDeliveryCount:
		ok = c.DeliveryCount
	case NeedDelay:
		ok = c.LongestDelay > 0
	case NeedBroadcast:
		ok = broadcast
	case NeedDeclare:
		_, ok = b.(leat.Declarer)
	}
	return ok
}
