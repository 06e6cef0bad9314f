package lease_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/lease"
	"github.com/stretchr/testify/require"
)

// TestExtends: an unsettled message is extended before half of its term is over, and so on (L1).
func TestExtends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{}), time.Now()
		m := b.deliver("1")
		time.Sleep(10 * term)
		require.False(t, m.Lease().Ended())
		last := time.Duration(0)
		for _, at := range b.since(lease.Extend, began) {
			require.LessOrEqual(t, at-last, term/2)
			require.Greater(t, at-last, term*3/10, "it is extended too often")
			last = at
		}
		require.Greater(t, last, 9*term)
		b.k.Ack(m)
		synctest.Wait()
		require.Zero(t, b.k.Held())
		calls := b.told()
		time.Sleep(10 * term)
		require.Equal(t, calls, b.told(), "nothing is extended that is settled")
		b.close()
	})
}

// TestExtendsAgain: an extension that fails, or has no answer, is tried again at every tenth of the
// term, and the lease ends at nine tenths (L1, L2). The adapter hears of it.
func TestExtendsAgain(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(context.Context, int) []error{
		"fails":     func(_ context.Context, n int) []error { return lease.All(n, errBroken) },
		"no answer": func(ctx context.Context, n int) []error { <-ctx.Done(); return lease.All(n, errUnknown) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b, began := newBroker(t, options{}), time.Now()
				b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error { return send(ctx, len(batch)) })
				m := b.deliver("1")
				time.Sleep(term - term/10)
				require.True(t, m.Lease().Ended())
				time.Sleep(term / 10)
				over, cause := ended(m)
				require.True(t, over)
				require.ErrorIs(t, cause, leat.ErrLeaseLost)
				require.Equal(t, []string{"1"}, b.losses())
				b.mu.Lock()
				require.Error(t, b.report)
				b.mu.Unlock()
				tries := b.since(lease.Extend, began)
				require.Equal(t, []time.Duration{4 * time.Second, 5 * time.Second, 6 * time.Second, 7 * time.Second, 8 * time.Second}, tries)
				b.k.Ack(m)
				time.Sleep(term)
				require.Empty(t, b.since(lease.Ack, began), "L6")
				b.close()
			})
		})
	}
}

// TestLateFirstTerm: a message whose request began long ago is extended at once.
func TestLateFirstTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		b.mu.Lock()
		b.lent["1"] = &loan{receipt: 1, until: time.Now().Add(term)}
		b.mu.Unlock()
		m, fresh := b.k.Take("1", time.Now().Add(-term*8/10), 1)
		require.True(t, fresh)
		synctest.Wait()
		require.Len(t, b.since(lease.Extend, time.Now()), 1)
		time.Sleep(term)
		require.False(t, m.Lease().Ended())
		b.close()
	})
}

// TestEntriesFail: one entry that fails does not touch its neighbours: a stale receipt loses its
// lease, any other error is repeated. The lease ends when the broker has confirmed (L7).
func TestEntriesFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Linger: time.Millisecond})
		var messages []*message
		for i := range 4 {
			messages = append(messages, b.deliver(fmt.Sprint(i)))
		}
		b.mu.Lock()
		delete(b.lent, "1")
		b.mu.Unlock() // somebody else has it
		first := true
		b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
			if !first {
				return b.apply(op, batch)
			}
			first = false
			require.Len(t, batch, 4)
			errs := append(b.apply(op, batch[:2]), errBroken, nil)
			require.NoError(t, b.apply(op, batch[3:])[0])
			return errs
		})
		for _, m := range messages {
			b.k.Ack(m)
			b.k.GiveBack(m, 0) // it is settled
		}
		for i, m := range messages {
			over, _ := ended(m)
			require.False(t, over, "L7: the broker has not confirmed %d", i)
		}
		require.NoError(t, b.k.Flush(t.Context()))
		synctest.Wait()
		for i, m := range messages {
			over, cause := ended(m)
			require.True(t, over)
			require.Equal(t, i == 1, cause != nil, "%v", cause)
		}
		require.Empty(t, b.left())
		require.Equal(t, []string{"1"}, b.losses())
		require.Len(t, b.since(lease.Ack, time.Now()), 2)
		b.close()
		require.NoError(t, b.report)
	})
}

// slow makes each request take a time.
func (b *broker) slow(d time.Duration) {
	b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
		time.Sleep(d)
		return b.apply(op, batch)
	})
}

// TestComesAgain: a message that comes again while it is held takes over the new receipt, and its
// term begins anew (L5).
func TestComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{}), time.Now()
		m := b.deliver("1")
		time.Sleep(term * 3 / 10)
		require.Same(t, m, b.deliver("1"), "it is delivered again")
		time.Sleep(term / 2)
		require.Equal(t, []time.Duration{term * 7 / 10}, b.since(lease.Extend, began))
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		b.close()
	})
}

// TestOlderAnswerComesLater: with several requests at a time, the answer to an older one may come
// after that to a newer one. Its receipt replaces nothing, and neither does its term.
func TestOlderAnswerComesLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, older := newBroker(t, options{Polled: true}), time.Now()
		time.Sleep(time.Second)
		newer := time.Now()
		m := b.deliver("1") // receipt 1
		b.deliver("1")      // receipt 2, of a request that began at the same time
		time.Sleep(time.Second)
		again, fresh := b.k.Take("1", older, 1)
		require.False(t, fresh)
		require.Same(t, m, again)
		time.Sleep(3 * term)
		require.False(t, m.Lease().Ended(), "it was extended with the older receipt")
		require.Equal(t, term*4/10, b.since(lease.Extend, newer)[0])
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		b.close()
	})
}

// TestPushedAgain: with pushes there is no older answer. What arrives last is what the broker
// takes, however long it may have been on its way.
func TestPushedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, older := newBroker(t, options{}), time.Now()
		time.Sleep(time.Second)
		m := b.deliver("1") // receipt 1
		b.lent["1"].receipt = 2
		again, fresh := b.k.Take("1", older, 2)
		require.False(t, fresh)
		require.Same(t, m, again)
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		require.Empty(t, b.losses())
		b.close()
	})
}

// TestComesWhileItIsExtended: the same while a request with the old receipt is under way, whose
// answer says nothing then.
func TestComesWhileItIsExtended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m := b.deliver("1")
		b.slow(100 * time.Millisecond)
		time.Sleep(term*4/10 + 50*time.Millisecond)
		require.Same(t, m, b.deliver("1"))
		time.Sleep(2 * term)
		require.False(t, m.Lease().Ended(), "a stale answer ended it")
		b.close()
	})
}

// TestAckGoesAgain: a message that comes again while its ack is under way is acknowledged with the
// new receipt, whatever the broker answers to the old one (L5, T1).
func TestAckGoesAgain(t *testing.T) {
	t.Parallel()
	for _, lenient := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, options{})
			m := b.deliver("1")
			b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
				time.Sleep(100 * time.Millisecond)
				if errs := b.apply(op, batch); !lenient {
					return errs
				}
				return nil
			})
			b.k.Ack(m)
			time.Sleep(50 * time.Millisecond)
			require.Same(t, m, b.deliver("1"))
			require.NoError(t, b.k.Flush(t.Context()))
			synctest.Wait()
			require.Empty(t, b.left())
			require.Empty(t, b.losses())
			over, cause := ended(m)
			require.True(t, over)
			require.NoError(t, cause)
			b.close()
		})
	}
}

// TestTermCountsFromTheRequest: an extension that takes its time lasts from when it was asked for
// (L2).
func TestTermCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m := b.deliver("1")
		b.slow(800 * time.Millisecond)
		time.Sleep(term * 5 / 10)
		b.sends(func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) })
		time.Sleep(term*8/10 - time.Millisecond)
		require.False(t, m.Lease().Ended())
		time.Sleep(time.Millisecond)
		require.True(t, m.Lease().Ended(), "asked for at 4 s, it ends at 13 s")
		b.close()
	})
}

// TestNoRequestOutlastsItsLease: an ack without an answer ends with its lease, and the message is
// not extended meanwhile (L6).
func TestNoRequestOutlastsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, began := newBroker(t, options{Timeout: time.Hour}), time.Now()
		m := b.deliver("1")
		var took time.Duration
		b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error {
			<-ctx.Done()
			took = time.Since(began)
			return lease.All(len(batch), errUnknown)
		})
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Equal(t, term*9/10, took)
		require.Equal(t, 1, b.told())
		b.close()
		require.Equal(t, []string{"1"}, b.losses())
	})
}

// TestComesAfterItsEnd: a message that comes again after its term is delivered under a new lease,
// and the old one has ended by then (L3).
func TestComesAfterItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		b.sends(func(_ context.Context, _ lease.Op, batch []entry) []error { return lease.All(len(batch), errBroken) })
		old := b.deliver("1")
		time.Sleep(term - term/10)
		m := b.deliver("1")
		require.NotSame(t, old, m)
		over, _ := ended(old)
		require.True(t, over)
		require.Equal(t, []string{"1"}, b.losses())
		b.sends(nil)
		b.k.Ack(old)
		b.k.Ack(m)
		require.NoError(t, b.k.Flush(t.Context()))
		require.Empty(t, b.left())
		b.close()
	})
}

// TestClose: Close stores the acks, then ends the leases, then gives back what is left, in order
// and without delay.
func TestClose(t *testing.T) {
	t.Parallel()
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBroker(t, options{NewestFirst: newest, MaxBatch: 2})
			var left []*message
			var want []string
			for i := range 7 {
				m := b.deliver(fmt.Sprint(i))
				if i == 2 {
					b.k.Ack(m)
				} else {
					left, want = append(left, m), append(want, m.ID())
				}
			}
			b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
				require.LessOrEqual(t, len(batch), 2)
				for _, e := range batch {
					if i := slices.IndexFunc(left, func(m *message) bool { return m.ID() == e.ID }); op == lease.GiveBack {
						over, cause := ended(left[i])
						require.True(t, over, "L3: %s is given back before its lease ended", e.ID)
						require.NoError(t, cause)
						require.Zero(t, e.Delay)
					}
				}
				time.Sleep(time.Second)
				return b.apply(op, batch)
			})
			b.close()
			require.Empty(t, b.left())
			if newest {
				slices.Reverse(want)
			}
			require.Equal(t, want, b.order)
			b.close() // again
		})
	}
}

// TestCloseInTime: Close ends with its context, says so where an ack is not confirmed, and ends the
// leases.
func TestCloseInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		m, other := b.deliver("1"), b.deliver("2")
		b.sends(func(ctx context.Context, _ lease.Op, batch []entry) []error {
			<-ctx.Done()
			return lease.All(len(batch), errUnknown)
		})
		b.k.Ack(m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, b.k.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		for _, m := range []*message{m, other} {
			over, cause := ended(m)
			require.True(t, over)
			require.NoError(t, cause)
		}
		require.NoError(t, b.k.Close(t.Context()))
	})
}

// TestDiscard: a broadcast gives nothing back.
func TestDiscard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Discard: true})
		m := b.deliver("1")
		b.close()
		over, _ := ended(m)
		require.True(t, over)
		require.Empty(t, b.order)
	})
}

// TestLoseAll: what the broker has taken away is lost at once, and others with it.
func TestLoseAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{})
		messages := []*message{b.deliver("1"), b.deliver("2")}
		b.k.LoseAll(errGone)
		for _, m := range messages {
			over, cause := ended(m)
			require.True(t, over)
			require.ErrorIs(t, cause, leat.ErrLeaseLost)
			b.k.Ack(m)
		}
		require.Equal(t, []string{"1", "2"}, b.losses())
		b.close()
		require.Empty(t, b.since(lease.Ack, time.Now()))
	})
}

// TestFullBatches: while a request is under way acks wait for others, and another request begins
// only with a full batch.
func TestFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t, options{Requests: 3})
		b.sends(func(_ context.Context, op lease.Op, batch []entry) []error {
			time.Sleep(10 * time.Millisecond)
			return b.apply(op, batch)
		})
		for i := range 100 {
			b.k.Ack(b.deliver(fmt.Sprint(i)))
			time.Sleep(time.Millisecond / 4)
		}
		require.NoError(t, b.k.Flush(t.Context()))
		require.LessOrEqual(t, b.told(), 12)
		require.Empty(t, b.left())
		b.close()
	})
}

// TestComesWhileItIsLost: a message that comes again while its lease is being lost is a new one,
// and the old lease has ended before it can be delivered (L5).
func TestComesWhileItIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var k *lease.Keeper[string, int]
		var old, again *lease.Message[string, int]
		losses := 0
		k = lease.New(lease.Options[string, int]{
			Term: term,
			Send: func(_ context.Context, _ lease.Op, batch []lease.Entry[string, int]) []error {
				return lease.All(len(batch), nil)
			},
			Lost: func(m *lease.Message[string, int], _ error) []*lease.Message[string, int] {
				if losses++; losses > 1 {
					return nil
				}
				require.Same(t, old, m)
				var fresh bool
				again, fresh = k.Take("1", time.Now(), 2)
				require.True(t, fresh)
				require.True(t, old.Lease().Ended())
				return nil
			},
		})
		old, _ = k.Take("1", time.Now(), 1)
		k.Lose(errReplaced, old)
		require.Equal(t, 1, losses)
		require.False(t, again.Lease().Ended())
		require.Equal(t, 1, k.Held())
		k.Ack(old) // has no effect
		k.Ack(again)
		require.NoError(t, k.Close(t.Context()))
		require.Zero(t, k.Held())
	})
}
