package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/kafka"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/leatgo/leat/internal/goroutines"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
)

// vacant returns an address where nobody listens.
func vacant(t testing.TB) (addr string, port int) {
	t.Helper()
	addr = brokertest.Vacant(t)
	_, number, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	port, err = strconv.Atoi(number)
	require.NoError(t, err)
	return addr, port
}

// onlyFailure returns the error of the only event of a publish.
func onlyFailure(t *testing.T, err error) error {
	t.Helper()
	var e *leat.PublishError
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Failures, 1)
	return e.Failures[0].Err
}

// Nothing can have been stored where nobody was reached: the event is refused, with the reason,
// whichever limit ends the publish.
func TestPublishWhereNobodyListensIsRefused(t *testing.T) {
	t.Parallel()
	addr, _ := vacant(t)
	for name, c := range map[string]struct {
		addr     string
		deadline time.Duration // of the caller; 0 means none
		delivery time.Duration
		reason   string
	}{
		"the caller's ctx ends in the first question": {silent(t), 200 * time.Millisecond, 10 * time.Second, "no broker has answered yet"},
		"the caller's ctx ends later":                 {addr, time.Second, 10 * time.Second, "connection refused"},
		"the DeliveryTimeout passes":                  {addr, 0, time.Second, "connection refused"},
		"nothing is answered in time":                 {silent(t), 0, time.Second, ""},
		"the caller's ctx has 50 ms":                  {addr, 50 * time.Millisecond, 10 * time.Second, ""},
		"one address of two is a hole":                {addr + "," + silent(t), 3 * time.Second, 10 * time.Second, ""},
		"the ctx ends after two rounds":               {addr, 2500 * time.Millisecond, 10 * time.Second, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second, two := cut(c.addr)
			o := quick(first)
			if two {
				o.Hosts = append(o.Hosts, second)
			}
			o.DeliveryTimeout, o.CloseTimeout = c.delivery, time.Second
			p := leat.NewProducer(open(t, o), nil)
			ctx, limit := t.Context(), c.delivery
			if c.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
				defer cancel()
				limit = c.deadline
			}
			begin := time.Now()
			err := onlyFailure(t, p.Publish(ctx, "t", event("1", "k")))
			assert.Less(t, time.Since(begin), limit+250*time.Millisecond)
			code(t, leat.CodeUnavailable, err)
			assert.ErrorContains(t, err, c.reason)
			if c.deadline > 0 {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}
		})
	}
}

func cut(s string) (first, second string, two bool) {
	for i := range s {
		if s[i] == ',' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// Addresses that take connections and say nothing do not delay the first publish while one of Hosts
// answers, wherever that one stands.
func TestSilentHosts(t *testing.T) {
	t.Parallel()
	c := newFake(t, kfake.SeedTopics(1, "t"))
	for at := range 4 {
		o := quick(silent(t), silent(t), silent(t))
		o.Hosts = slices.Insert(o.Hosts, at, c.ListenAddrs()...)
		begin := time.Now()
		require.NoError(t, publishOne(open(t, o), "t", event("1", "k"), 10*time.Second))
		assert.Less(t, time.Since(begin), 2*time.Second)
	}
}

// A cluster that wants a login, or does not speak TLS, hears nothing of an event. It closes the
// connection, which says no more.
func TestPublishWithoutTheRightLoginIsRefused(t *testing.T) {
	t.Parallel()
	plain := newFake(t)
	secured := newFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "ann", "secret"))
	for name, o := range map[string]kafka.Options{
		"no SASL":           quick(secured.ListenAddrs()...),
		"TLS without a TLS": withTLS(quick(plain.ListenAddrs()...)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.DeliveryTimeout, o.CloseTimeout = 2*time.Second, time.Second
			p := leat.NewProducer(open(t, o), nil)
			code(t, leat.CodeUnavailable, onlyFailure(t, p.Publish(t.Context(), "t", event("1", "k"))))
		})
	}
}

func withTLS(o kafka.Options) kafka.Options {
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	return o
}

// What was taken before the cluster was there goes out in order when it comes, and a ctx that has
// ended meanwhile does not matter.
func TestHeldEventsGoOutInOrder(t *testing.T) {
	t.Parallel()
	addr, port := vacant(t)
	o := quick(addr)
	b := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var all []*outcomes
	var want []string
	for i := range 20 {
		first, second := fmt.Sprint(2*i), fmt.Sprint(2*i+1)
		all = append(all, publish(ctx, b, "t", event(first, "k"), event(second, "k")))
		want = append(want, first, second)
	}
	cancel()
	// A publish that waits for its own event takes only that one back.
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	err := onlyFailure(t, leat.NewProducer(b, nil).Publish(short, "t", event("taken back", "k")))
	code(t, leat.CodeUnavailable, err)

	c := newFake(t, kfake.Ports(port), kfake.SeedTopics(1, "t"))
	for _, o := range all {
		errs, err := o.wait(10 * time.Second)
		require.NoError(t, err)
		require.NoError(t, errors.Join(errs...))
	}
	require.NoError(t, publishOne(b, "t", event("last", "k"), 10*time.Second))
	ids, err := stored("t", c.ListenAddrs()...)
	require.NoError(t, err)
	assert.Equal(t, append(want, "last"), ids[0])
}

// An event of a call with several is withdrawn by itself, and room is made for it.
func TestWithdrawTakesBackSingleEvents(t *testing.T) {
	t.Parallel()
	addr, port := vacant(t)
	o := quick(addr)
	o.Buffer = 4
	b := open(t, o)
	both := publish(t.Context(), b, "t", event("1", "k"), event("2", "k"), event("3", "k"))
	other := publish(t.Context(), b, "u", event("2", "k"))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b.Withdraw(ended, "t", []leat.Event{event("2", "k"), event("unheard of", "k")})
	b.Withdraw(ended, "t", []leat.Event{event("2", "k")})
	more := publish(t.Context(), b, "t", event("4", "k")) // has room
	c := newFake(t, kfake.Ports(port), kfake.SeedTopics(1, "t", "u"))
	errs, err := both.wait(10 * time.Second)
	require.NoError(t, err)
	require.NoError(t, errors.Join(errs[0], errs[2]))
	code(t, leat.CodeUnavailable, errs[1])
	for _, o := range []*outcomes{other, more} {
		errs, err := o.wait(10 * time.Second)
		require.NoError(t, err)
		require.NoError(t, errs[0])
	}
	ids, err := stored("t", c.ListenAddrs()...)
	require.NoError(t, err)
	assert.Equal(t, []string{"1", "3", "4"}, ids[0])
}

// Close refuses what is held, at the latest by the CloseTimeout, and leaves nothing behind.
func TestCloseRefusesHeldEvents(t *testing.T) {
	addr, _ := vacant(t)
	before := goroutines.Now()
	o := quick(addr)
	o.CloseTimeout = 500 * time.Millisecond
	b, err := kafka.New(&o)
	require.NoError(t, err)
	held := publish(t.Context(), b, "t", event("1", "k"))
	begin := time.Now()
	require.NoError(t, b.Close())
	assert.Less(t, time.Since(begin), o.CloseTimeout+250*time.Millisecond)
	errs, err := held.wait(0)
	require.NoError(t, err)
	code(t, leat.CodeClosed, errs[0])
	assert.Empty(t, before.Since("leat/adapters/kafka.", "franz-go"))
}
