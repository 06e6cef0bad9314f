package eventtest

import (
	"context"
	"time"

	"github.com/leatgo/leat"
)

// faultPublishCases publish while faults happen, and compare what publishers were told with what is
// stored in the end.
func faultPublishCases() []Case {
	const outcomes = ": what is confirmed is stored, what is refused is not, nothing is stored twice, and the order of a key " +
		"among confirmed events is that of their publishes, "
	return []Case{
		{
			Name: "publish-across-cuts", Level: Raw, Needs: []Need{NeedCut},
			Rule:  "P1, P4 to P6" + outcomes + "also across 20 lost connections",
			check: func(r *run) { r.publishAcross(r.rounds(manyRounds), (*barrage).cut) },
		},
		{
			Name: "publish-across-isolation", Level: Raw, Needs: []Need{NeedIsolate},
			Rule:  "P1, P4 to P6, P8, W1, W2" + outcomes + "also when the client is isolated 20 times and publishes end by their ctx meanwhile",
			check: func(r *run) { r.publishAcross(r.rounds(manyRounds), (*barrage).isolate) },
		},
		{
			Name: "publish-across-outages", Level: Raw, Needs: []Need{NeedCut, NeedIsolate},
			Rule: "P1, P4 to P6, P11" + outcomes + "also when connections are lost and cannot be opened again for a while, and the client " +
				"library keeps what it is given meanwhile",
			check: func(r *run) { r.publishAcross(r.rounds(someRounds), (*barrage).outage) },
		},
		{
			Name: "publish-across-kills", Level: Raw, Needs: []Need{NeedKill},
			Rule:  "P1, P4 to P6" + outcomes + "also when the broker is killed and comes back",
			check: func(r *run) { r.publishAcross(r.rounds(fewRounds), (*barrage).kill) },
		},
	}
}

// How often a case injects its fault unless Options.Rounds says so: a fault that is quick, one
// after which the client dials for a while, and one after which the broker starts again.
const (
	manyRounds = 20
	someRounds = 6
	fewRounds  = 2
)

// rounds returns how often a case injects its fault.
func (r *run) rounds(usual int) int {
	if r.opts.Rounds > 0 {
		return r.opts.Rounds
	}
	return usual
}

// publishAcross publishes without a pause while a fault happens again and again. After each one,
// publishing has to go on.
func (r *run) publishAcross(rounds int, fault func(b *barrage, round int)) {
	b := r.newBarrage()
	b.start()
	for round := range rounds {
		b.awaitProgress()
		b.awaitUnderWay()
		fault(b, round)
	}
	b.awaitProgress()
	b.stop()
	b.compare()
}

// cut cuts all connections. Every other time the client is isolated before, where the harness can
// do that, so that the answers to what the broker has stored are lost for certain.
func (b *barrage) cut(round int) {
	cutter, _ := b.r.h.(Cutter)
	isolator, ok := b.r.h.(Isolator)
	if ok && round%2 == 1 {
		b.r.must(isolator.Isolate(b.r.ctx, b.broker), "isolating the client")
		pause(b.r.brief() / 2)
		defer func() { b.r.must(isolator.Rejoin(b.r.ctx, b.broker), "ending the isolation") }()
	}
	b.r.must(cutter.Cut(b.r.ctx), "cutting connections")
}

// isolate isolates the client for about as long as an impatient publish lasts. Nothing that is
// published meanwhile can be confirmed.
func (b *barrage) isolate(int) {
	isolator, _ := b.r.h.(Isolator)
	b.r.must(isolator.Isolate(b.r.ctx, b.broker), "isolating the client")
	b.isolation.Add(1)
	pause(b.r.brief()/2 + time.Duration(b.r.rand.Int64N(int64(b.r.brief())+1)))
	b.isolation.Add(1)
	b.r.must(isolator.Rejoin(b.r.ctx, b.broker), "ending the isolation")
}

// outage cuts all connections of a client that cannot dial again for a while, so that it knows of
// the outage and is given events meanwhile.
func (b *barrage) outage(int) {
	isolator, _ := b.r.h.(Isolator)
	b.r.must(isolator.Isolate(b.r.ctx, b.broker), "isolating the client")
	b.r.cut()
	pause(b.r.brief() + time.Duration(b.r.rand.Int64N(int64(b.r.brief())+1)))
	b.r.must(isolator.Rejoin(b.r.ctx, b.broker), "ending the isolation")
}

// kill kills the broker and starts it again.
func (b *barrage) kill(int) { b.r.restart() }

// compare reads the topic to its end, by another instance of the adapter, and compares it with the
// outcomes.
func (b *barrage) compare() {
	r, other := b.r, b.r.open()
	last := map[string]bool{}
	for _, key := range b.keys {
		e := r.event("last-"+key, key)
		last[e.ID()] = true
		r.mustPublish(other, b.topic, e)
	}
	rd := r.join(other, b.topic, groupA)
	ctx, cancel := context.WithTimeout(r.ctx, r.opts.Patience)
	defer cancel()
	read := map[string]bool{}
	store := func(d *leat.Delivery) {
		id := nameOf(d)
		if d.Deliveries > 1 && read[id] {
			return // the same message once more, whose lease ended: two that are stored each count from 1
		}
		read[id] = true
		b.stored = append(b.stored, id)
	}
	for len(last) > 0 {
		got, err := rd.receive(ctx, batch)
		if err != nil {
			r.failf("%d of the events that were published last, in peace, did not come, then Receive: %v", len(last), err)
		}
		rd.settle(acked(), got...)
		for i := range got {
			if id := nameOf(&got[i]); last[id] {
				delete(last, id)
			} else {
				store(&got[i])
			}
		}
	}
	// What comes late is of a connection that the broker reads to its end, or of a client that
	// sends what it has refused. Without order, the last events may also come first.
	for late := rd.poll(r.opts.Quiet); len(late) > 0; late = rd.poll(r.opts.Quiet) {
		rd.settle(acked(), late...)
		for i := range late {
			store(&late[i])
		}
	}
	b.judge(rd.keepsOrder())
}
