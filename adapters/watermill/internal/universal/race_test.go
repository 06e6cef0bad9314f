//go:build race

package universal_test

import "github.com/ThreeDotsLabs/watermill/pubsub/tests"

// shortWithRace makes the tests of a broker short under the race detector: LocalStack delivers
// 10,000 messages in a minute, and with the detector beside it not within the time of a test.
func shortWithRace(f tests.Features) tests.Features {
	f.ForceShort = true
	return f
}
