package eventtest

import (
	"time"

	"github.com/leatgo/leat"
)

// checkHealthApart kills the broker under two streams and compares what each part says of itself.
func checkHealthApart(r *run) {
	killer := r.h.(Killer) //nolint:forcetypeassert // the case needs it
	b, topic := r.start(groupA)
	other := r.h.Topic()
	r.declare(b, other, groupA)
	one, two := r.join(b, topic, groupA), r.join(b, other, groupA)
	for _, rd := range []*reader{one, two} { // a stream that has delivered is connected
		r.mustPublish(b, rd.sub.Topic, r.event("e-"+rd.sub.Topic, "k"))
		rd.settle(acked(), rd.take(1)...)
	}
	r.must(killer.Kill(r.ctx), "killing the broker")
	started := false
	start := func() {
		if !started {
			started = true
			r.must(killer.Start(r.ctx), "starting the broker")
		}
	}
	r.cleanup(start)
	for deadline := time.Now().Add(r.opts.Quiet); time.Now().Before(deadline); { // an adapter may well notice nothing
		r.compareHealth(b, one, two)
		pause(5 * time.Millisecond)
	}
	start()
}

// compareHealth fails the case when one part says what is another's to say.
func (r *run) compareHealth(b leat.Broker, one, two *reader) {
	ofOne, ofTwo := ailments(one.stream), ailments(two.stream)
	for _, part := range []struct {
		name   string
		says   []error
		topics []string // that are none of its business
	}{
		{"the broker", ailments(b), []string{one.sub.Topic, two.sub.Topic}},
		{"the stream of " + one.sub.Topic, ofOne, []string{two.sub.Topic}},
		{"the stream of " + two.sub.Topic, ofTwo, []string{one.sub.Topic}},
	} {
		for _, err := range part.says {
			for _, topic := range part.topics {
				if e, ok := err.(*leat.Error); ok && e.Topic == topic { //nolint:errorlint // ailments has unwrapped it
					r.failf("%s says what the stream of %s has to say: %v", part.name, topic, err)
				}
			}
		}
	}
}

// ailments returns what is wrong with a part, one by one where several are joined.
func ailments(part any) []error {
	h, ok := part.(leat.HealthReporter)
	if !ok {
		return nil
	}
	return unjoin(h.Health())
}

func unjoin(err error) []error {
	switch joined := err.(type) { //nolint:errorlint // it is taken apart
	case nil:
		return nil
	case interface{ Unwrap() []error }:
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, unjoin(one)...)
		}
		return all
	}
	return []error{err}
}
