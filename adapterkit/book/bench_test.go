package book_test

import (
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/book"
	"github.com/stretchr/testify/assert"
)

// offset is what Kafka's adapter would keep for a record.
type offset struct {
	at int64
}

// cycle is what happens to a batch of events whose handlers do well.
type cycle struct {
	b     *book.Book[offset]
	w     *book.Window[offset]
	into  []leat.Delivery
	event leat.Delivery
	acks  book.Acks
}

func newCycle(tb testing.TB, acks book.Acks) *cycle {
	tb.Helper()
	c := &cycle{into: make([]leat.Delivery, 100), acks: acks}
	c.event = leat.Delivery{Event: event(tb, 1, "customer-7"), Deliveries: 1}
	d := newDesk(tb, book.Options{})
	c.b = book.New[offset](&d.mu, book.Options{MaxInFlight: 1_000, MaxInFlightBytes: 1 << 20, Acks: acks})
	c.w = c.b.Open(leat.NewLease())
	return c
}

func (c *cycle) run() {
	for i := range c.into {
		c.event.Position.Offset = int64(i)
		c.w.Push(&c.event, 1_000, offset{at: int64(i)})
	}
	n := c.b.Fill(c.into)
	for i := range c.into[:n] {
		c.b.Settle(&c.into[i], leat.Settlement{Action: leat.Ack})
	}
	if c.acks == book.Ranges {
		c.w.Collect(false)
	}
}

func kinds() map[string]book.Acks {
	return map[string]book.Acks{"each": book.Each, "position": book.Position, "ranges": book.Ranges}
}

// TestAllocations: a record that arrives, goes out and is acknowledged costs no allocation.
func TestAllocations(t *testing.T) {
	for name, acks := range kinds() {
		c := newCycle(t, acks)
		assert.Zero(t, testing.AllocsPerRun(100, c.run), name)
	}
}

func BenchmarkBook(b *testing.B) {
	for name, acks := range kinds() {
		b.Run(name, func(b *testing.B) {
			c := newCycle(b, acks)
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(c.into)), "ns/event")
		})
	}
}

// BenchmarkGiveBack gives every tenth event of a batch back once.
func BenchmarkGiveBack(b *testing.B) {
	c := newCycle(b, book.Position)
	again := make([]leat.Delivery, 100)
	b.ReportAllocs()
	for b.Loop() {
		for range c.into {
			c.w.Push(&c.event, 1_000, offset{})
		}
		n := c.b.Fill(c.into)
		for i := range c.into[:n] {
			how := leat.Settlement{Action: leat.Ack}
			if i%10 == 0 {
				how.Action = leat.GiveBack
			}
			c.b.Settle(&c.into[i], how)
		}
		n = c.b.Fill(again)
		for i := range again[:n] {
			c.b.Settle(&again[i], leat.Settlement{Action: leat.Ack})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(c.into)), "ns/event")
}
