package eventtest

import (
	"context"
	"sync/atomic"

	"github.com/leatgo/leat"
)

// bufferCases are about what an adapter keeps of events that the broker has not confirmed.
func bufferCases() []Case {
	return []Case{
		{
			Name: "whole-publish-buffer-bounded", Level: Whole, Needs: []Need{NeedPause},
			Rule:  "P2: while the broker does not answer, a publish blocks once the adapter's buffer is full, and it holds at most 64 MiB",
			check: checkPublishBuffer,
		},
	}
}

// publishBuffer is the most that an adapter may keep of events that wait for the broker, unless an
// option says otherwise.
const publishBuffer = 64 << 20

// checkPublishBuffer publishes until the adapter takes no more, but no more than twice what it may
// take: a bound that counts the bytes of an event in another way is well below that.
func checkPublishBuffer(r *run) {
	b := r.open()
	l := r.newLedger(b)
	p := leat.NewProducer(b, nil)
	l.send(b, l.event("k", 8))
	resume := r.paused()
	e := l.event("", min(64<<10, maxEvent(b)-reserve))
	var refused atomic.Bool
	for taken := 0; !refused.Load(); taken += e.Size() {
		if taken > 2*publishBuffer {
			r.failf("the adapter took %d MiB while the broker did not answer; %d MiB are allowed", taken>>20, publishBuffer>>20)
		}
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Quiet)
		r.within(r.opts.Quiet, "a publish", func() {
			p.PublishAsync(ctx, l.topic, func(_ leat.Event, err error) {
				if leat.CodeOf(err) == leat.CodeCanceled {
					refused.Store(true)
				}
			}, e)
		})
		cancel()
	}
	resume()
	r.eventually("every event that was taken has its outcome", func() bool {
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.Quiet)
		defer cancel()
		return p.Flush(ctx) == nil
	})
}
