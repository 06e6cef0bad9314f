package eventtest_test

import (
	"sync/atomic"

	"github.com/leatgo/leat"
)

// outageMutants say the wrong thing, or nothing, of an outage.
func outageMutants() []mutant {
	const rule = "health-shows-outage"
	return []mutant{
		{
			name: "the broker is silent about an outage", rule: rule,
			wrap: bend(func(b *bent) {
				b.health = func(inner leat.Broker) error {
					if b.closed.Load() {
						return inner.(leat.HealthReporter).Health()
					}
					return nil
				}
			}),
		},
		{
			name: "a stream is silent about an outage", rule: rule,
			wrap: bend(func(b *bent) {
				b.stream = func(_ leat.Subscription, s leat.Stream) leat.Stream {
					return statement{s, func(error) error { return nil }}
				}
			}),
		},
		{
			name: "a stream stays ill after an outage", rule: rule,
			wrap: bend(func(b *bent) {
				b.stream = func(_ leat.Subscription, s leat.Stream) leat.Stream {
					var last atomic.Pointer[error]
					return statement{s, func(err error) error {
						if err != nil {
							last.Store(&err)
						} else if before := last.Load(); before != nil {
							err = *before
						}
						return err
					}}
				}
			}),
		},
	}
}

// statement is a stream that says something else of its health than what is.
type statement struct {
	leat.Stream

	says func(err error) error
}

func (s statement) Health() error { return s.says(healthOf(s.Stream)) }

func (s statement) Quiesce() { quiesce(s.Stream) }
