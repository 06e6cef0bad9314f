package eventtest

import (
	"fmt"
	"time"

	"github.com/leatgo/leat"
)

// pair is two streams of a group that work side by side, as Consumers do: they settle what comes
// and let go of what they are asked for.
type pair struct {
	r       *run
	readers [2]*reader
	got     [2]int
	first   int // who receives first
	holders map[*leat.Lease]*holder
}

// work lets both receive for d, each in turn. Where streams share, the one that asks first may get
// everything: so that changes.
func (p *pair) work(d time.Duration) {
	p.first = 1 - p.first
	for until := time.Now().Add(d); time.Now().Before(until); {
		for _, i := range []int{p.first, 1 - p.first} {
			rd := p.readers[i]
			if rd == nil {
				continue
			}
			for _, d := range rd.poll(time.Millisecond) {
				if p.holders[d.Lease] == nil {
					p.holders[d.Lease] = hold(d.Lease)
				}
				p.got[i]++
				rd.settle(acked(), d)
			}
		}
		for _, h := range p.holders {
			h.release() // nothing is held between two rounds
		}
	}
}

func checkStandby(r *run) {
	b, topic := r.start(groupA)
	p := &pair{r: r, holders: map[*leat.Lease]*holder{}}
	p.readers[0] = r.join(b, topic, groupA)
	p.readers[1] = r.join(r.open(), topic, groupA)
	round := 0
	publish := func() {
		round++
		r.mustPublish(b, topic, r.spread(fmt.Sprint("round-", round), 40)...)
	}
	if !r.standby() {
		r.eventually("both streams of the group got events", func() bool {
			publish()
			p.work(r.opts.Quiet / 4)
			return p.got[0] > 0 && p.got[1] > 0
		})
		return
	}
	r.eventually("one stream of the group got events", func() bool {
		publish()
		p.work(r.opts.Quiet / 4)
		return p.got[0]+p.got[1] > 0
	})
	publish()
	p.work(r.opts.Quiet)
	active := 0
	if p.got[1] > p.got[0] {
		active = 1
	}
	if n := p.got[1-active]; n > 0 {
		r.failf("%d events came to one stream of the group and %d to the other, which is to stand by", p.got[active], n)
	}
	p.readers[active].close()
	p.readers[active] = nil
	r.eventually("the stream that stood by took over", func() bool {
		publish()
		p.work(r.opts.Quiet / 4)
		return p.got[1-active] > 0
	})
}
