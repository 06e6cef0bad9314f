package eventtest_test

import (
	"slices"
	"testing"

	"github.com/leatgo/leat/eventtest"
)

// TestWholeLevelUnderFaults runs the whole level on a shell around the in-memory broker that breaks
// nothing, but can be paused, killed and cut, so that the cases which need that are seen to pass.
func TestWholeLevelUnderFaults(t *testing.T) {
	var names []string
	for _, c := range eventtest.Cases() {
		if c.Level == eventtest.Whole {
			names = append(names, c.Name)
		}
	}
	h := shellHarness{mutantHarness{newMemoryHarness(), (&defect{}).wrap()}}
	eventtest.TestAdapter(t, h, &eventtest.Options{Only: names})
}

// wholeMutants break rules that show with a Producer and a Consumer. Each breaks as little as it
// can, so that the cases of other rules pass.
func wholeMutants() []mutant {
	return append(slices.Concat(timedWholeMutants(), redeliveryMutants(), poisonMutants()), []mutant{
		{
			name: "acks at delivery what has no key", rule: "whole-drain-finishes-work", wrap: acksAtDelivery(),
			others: []string{
				"whole-in-flight-bytes",
			},
		},
		{
			name: "acks what is given back beyond the tenth", rule: "whole-given-back-comes-again", wrap: acksGivenBack(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace",
				"whole-drain-during-retry", "whole-drain-finishes-work", "whole-drain-ends-handlers", // they give back up to 20
			},
		},
		{
			name: "acks the first events of a topic when they are given back", rule: "whole-poison-before-ack", wrap: acksFirstGivenBack(),
			others: []string{
				"whole-no-overlap", "whole-drain-ends-handlers", "whole-order-group-changes", "whole-restarts-in-peace",
				"whole-given-back-comes-again", "whole-drain-during-retry", "whole-drain-finishes-work",
			},
		},
		{
			name: "drops what is unsettled at Close", rule: "whole-drain-names-stuck", wrap: dropsAtClose(),
			others: []string{
				"whole-drain-in-outage", "whole-order-group-changes",
			},
		},
		{
			name: "drops what lost its lease", rule: "whole-lost-lease-redelivers", wrap: dropsLost(),
			others: []string{
				"whole-poison-what-does-not-fit",
				"whole-order-group-changes", "whole-crash-redelivers", "whole-cut-redelivers", "whole-drain-names-stuck",
				"whole-drain-in-outage", "whole-restarts-in-peace", "whole-isolated-holder",
			},
		},
		{
			name: "loses an event and reports nil", rule: "whole-no-loss-no-ghosts", wrap: loses(),
			others: []string{
				"whole-in-flight-bytes",
			},
		},
		{name: "rewrites JSON", rule: "whole-no-loss-no-ghosts", wrap: rewritesJSON()},
		{
			name: "reorders what comes again", rule: "whole-given-back-comes-again", wrap: reordersRedelivered(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-drain-during-retry", "whole-drain-ends-handlers",
				"whole-restarts-in-peace", "whole-drain-in-outage", "whole-isolated-holder",
			},
		},
		{
			name: "forgets the transport's key", rule: "whole-order-transport-key", wrap: forgetsTransportKey(),
			others: []string{"whole-poison-transport-key"},
		},
		{
			name: "lets later events of a key overtake", rule: "whole-order-64-handlers", wrap: overtakes(),
			others: []string{
				"whole-once-in-peace", "whole-no-loss-no-ghosts", "whole-order-failing-handlers", "whole-order-group-changes",
				"whole-restarts-in-peace", "whole-no-overlap", "whole-close-races",
			},
		},
		{
			name: "moves a key without waiting for its handler", rule: "whole-no-overlap", wrap: movesAtOnce(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-close-races", "whole-groups-each-get-all",
				"whole-lost-lease-redelivers",
			},
		},
		{
			name: "hands events to two streams", rule: "whole-groups-each-get-all", wrap: handsToTwo(),
			others: []string{
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace", "whole-close-races",
			},
		},
		{
			name: "forgets the third delivery", rule: "whole-attempts-are-not-deliveries", wrap: forgetsThird(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace",
			},
		},
		{
			name: "counts no deliveries", rule: "whole-attempts-are-not-deliveries", wrap: countsNothing(),
			others: []string{
				"whole-order-failing-handlers",
			},
		},
		{
			name: "delivers again and again", rule: "whole-calm-default", wrap: hotLoops(),
			others: []string{
				"whole-poison-what-does-not-fit",
				"whole-calm-retry", "whole-error-is-retried", "whole-slow-handler-keeps-lease", "whole-poison-queue-down",
				"whole-rejected-leaves-order", "whole-in-flight-bytes", "whole-in-flight-events", "whole-once-in-peace",
				"whole-order-group-changes", "whole-no-overlap", "whole-restarts-in-peace", "whole-poisonous-key",
				"whole-slow-key", "whole-poison-before-ack", "whole-drain-finishes-work", "whole-groups-each-get-all",
				"whole-run-again", "whole-poisoned-keeps-bytes", "whole-malformed-poisoned-once", "whole-order-64-handlers",
				"whole-order-failing-handlers", "whole-no-loss-no-ghosts", "whole-close-races",
				"whole-attempts-are-not-deliveries", "whole-given-back-comes-again", "whole-drain-during-retry",
				"whole-lost-lease-redelivers", "whole-drain-ends-handlers", "whole-isolated-holder",
			},
		},
		{
			name: "delivers every fifth event twice", rule: "whole-once-in-peace", wrap: duplicates(),
			others: []string{
				"whole-poison-what-does-not-fit", "whole-poison-refusal-is-alone",
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-poisoned-keeps-bytes",
				"whole-rejected-leaves-order", "whole-in-flight-bytes", "whole-drain-finishes-work",
				"whole-groups-each-get-all", "whole-run-again", "whole-poison-before-ack", "whole-no-overlap",
				"whole-no-loss-no-ghosts", "whole-malformed-poisoned-once", "whole-close-races", "whole-order-64-handlers",
				"whole-order-failing-handlers",
			},
		},
		{
			name: "delivers what is malformed twice", rule: "whole-malformed-poisoned-once", wrap: duplicatesMalformed(),
			others: []string{"whole-poison-what-does-not-fit"},
		},
		{
			name: "loses what goes to a poison topic", rule: "whole-poisoned-keeps-bytes", wrap: losesPoison(),
			others: []string{
				"whole-poison-unordered",
				"whole-poison-what-does-not-fit", "whole-poison-many-attributes", "whole-poison-transport-key",
				"whole-malformed-poisoned-once", "whole-trace-context",
			},
		},
		{
			name: "alters what goes to a poison topic", rule: "whole-poisoned-keeps-bytes", wrap: altersPoison(),
			others: []string{"whole-trace-context"},
		},
		{
			name: "never ends a lost lease", rule: "whole-lost-lease-ends-context", wrap: keepsLostLeases(),
			others: []string{
				"whole-lost-lease-redelivers", "whole-order-group-changes", "whole-crash-redelivers", "whole-cut-redelivers",
				"whole-isolated-holder",
			},
		},
		{
			name: "ends the leases of slow handlers", rule: "whole-slow-handler-keeps-lease", wrap: endsSlowLeases(),
			others: []string{
				"whole-calm-default", "whole-calm-retry",
			},
		},
		{name: "receives more than is asked for", rule: "whole-in-flight-events", wrap: receivesTooMany()},
		{name: "ignores MaxInFlightBytes", rule: "whole-in-flight-bytes", wrap: ignoresBytes()},
		{name: "buffers publishes without a bound", rule: "whole-publish-buffer-bounded", wrap: buffersWithoutBound()},
		{
			name: "publishes past the end of ctx", rule: "whole-publish-deadline", wrap: publishesPastCtx(),
			others: []string{
				"whole-publish-buffer-bounded",
			},
		},
		{
			name: "blocks in Settle", rule: "whole-drain-during-retry", wrap: blocksInSettle(),
			others: []string{
				"whole-order-group-changes", "whole-restarts-in-peace", "whole-no-overlap", "whole-drain-finishes-work",
				"whole-drain-ends-handlers", "whole-drain-in-outage", // they give back six
			},
		},
		{
			name: "closes streams past the end of ctx", rule: "whole-drain-ends-handlers", wrap: closesStreamsLate(),
			others: []string{
				"whole-order-group-changes", "whole-poison-before-ack", "whole-drain-during-retry", "whole-drain-names-stuck",
				"whole-drain-in-outage",
			},
		},
		{
			name: "waits for the broker to close streams", rule: "whole-drain-in-outage", wrap: closesStreamsWithBroker(),
			others: []string{
				"whole-order-group-changes", // it waits also where the process has lost its broker for good
			},
		},
		{name: "waits for the broker to close", rule: "whole-close-deadline", wrap: closesWithBroker()},
		{
			name: "forgets acks at Close", rule: "whole-run-again", wrap: forgetsAcks(),
			others: []string{
				"whole-poison-refusal-is-alone",
				"whole-restarts-in-peace", "whole-drain-finishes-work", "whole-order-group-changes",
			},
		},
		{name: "leaves a goroutine for each delivery", rule: "whole-nothing-leaks", wrap: leaks()},
		{name: "shares a broadcast", rule: "whole-broadcast-to-each", wrap: sharesBroadcast()},
		{
			name: "keeps nothing for groups without a stream", rule: "whole-declared-group-keeps-events", wrap: declaresNothing(),
			others: []string{
				"whole-poison-unordered",
				"whole-poison-what-does-not-fit",
				"whole-malformed-poisoned-once", "whole-publish-deadline", "whole-poisoned-keeps-bytes", "whole-trace-context",
			},
		},
		{
			name: "goes on receiving after Close", rule: "whole-closed-broker-ends-run", wrap: swallowsClose(),
			others: []string{
				"whole-close-races",
			},
		},
		{
			name: "never reports after Close", rule: "whole-close-races", wrap: silentAfterClose(),
			others: []string{
				"whole-closed-broker-ends-run", "whole-close-deadline",
			},
		},
		{name: "returns bare errors", rule: "whole-unsupported-is-typed", wrap: bareErrors()},
		{name: "refuses half of its limit", rule: "whole-oversized-event", wrap: refusesLarge()},
		{name: "cannot be reached for unknown topics", rule: "whole-unknown-topic", wrap: unavailableTopics()},
		{
			name: "waits for the oldest event", rule: "whole-slow-key", wrap: waitsForOldest(),
			others: []string{
				"whole-poisonous-key", "whole-poison-queue-down",
			},
		},
	}...)
}
