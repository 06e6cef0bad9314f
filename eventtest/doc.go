// Package eventtest tests what is built with Leat: adapters by a conformance suite, and
// applications by a recorder and by chaos.
//
// An adapter's author gives the suite a [Harness] and runs it in a test:
//
//	func TestConformance(t *testing.T) {
//		eventtest.TestAdapter(t, harness{})
//	}
//
// An application hands its services a [Recorder] as their broker and asks it what happened
// ([NewRecorder]), or lets [Explore] run them under faults.
//
// Each case of the suite stands for one rule that the documentation of leat.Broker, leat.Stream or
// leat.Consumer states. A failure prints the rule, what was seen, and the seed.
package eventtest
