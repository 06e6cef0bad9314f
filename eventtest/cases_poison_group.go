package eventtest

import (
	"context"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/middleware"
)

// poisonGroupCases are about the group that reads a poison queue.
func poisonGroupCases() []Case {
	return []Case{{
		Name: "whole-poison-unordered", Level: Whole, Needs: []Need{NeedDeclare},
		Rule: "the poison queue of an Unordered consumer is read without order too: Run declares the group as leat.ReplayOf says, and keeps " +
			"rejected events for it",
		check: checkPoisonUnordered,
	}}
}

func checkPoisonUnordered(r *run) {
	b := r.open()
	sub := leat.Subscription{Topic: r.h.Topic(), Group: testGroup, Unordered: true}
	l := newLedger(r, sub.Topic)
	reject := func(context.Context, leat.Event) error { return leat.Reject(errFailing) }
	queue := middleware.PoisonQueue(leat.NewProducer(b, nil), nil)
	s := r.launch(b, sub, reject, &leat.ConsumerOptions{PoisonQueue: queue})
	s.await()
	events := append(l.events(6, 2), l.events(2, 0)...)
	l.send(b, events...)
	r.eventually("every event was rejected and is in the poison queue", func() bool {
		return s.consumer.Stats().Poisoned >= int64(len(events))
	})
	var read counter
	reader := r.launch(b, leat.ReplayOf(sub), read.handle, nil)
	reader.await()
	r.eventually("the poison queue was read", func() bool { return read.distinct() == len(events) })
	reader.stopClean()
	s.stopClean()
}
