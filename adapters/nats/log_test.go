package nats_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapters/nats"
	"github.com/leatgo/leat/eventtest"
	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logbook is a log whose lines a test reads.
type logbook struct{ brokertest.Logbook }

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// line is one of the log, by attribute.
type line map[string]any

func (l line) message() string { return l[slog.MessageKey].(string) }

// lines returns those whose message has a text.
func (l *logbook) lines(t *testing.T, text string) (lines []line) {
	t.Helper()
	for raw := range strings.Lines(l.String()) {
		var one line
		require.NoError(t, json.Unmarshal([]byte(raw), &one))
		if strings.Contains(one.message(), text) {
			lines = append(lines, one)
		}
	}
	return lines
}

// documented returns the level and the attributes of each line that docs/operations.md has.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\nNATS:\n\n| message | level | attributes | what to do |\n|---|---|---|---|\n")
	require.True(t, found, "docs/operations.md has no table of the NATS adapter")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		require.Len(t, cells, 4, row)
		rows[strings.TrimPrefix(cells[0], "| ")] = cells[1] + " " + strings.ReplaceAll(cells[2], "`", "")
	}
	return rows
}

// check compares the lines with docs/operations.md.
func (l *logbook) check(t *testing.T) {
	t.Helper()
	rows := documented(t)
	for _, one := range l.lines(t, "") {
		row, found := rows[one.message()]
		if !assert.True(t, found, "docs/operations.md does not have the line %q", one.message()) {
			continue
		}
		words := strings.Fields(row)
		assert.Equal(t, words[0], one[slog.LevelKey], one.message())
		has := slices.Sorted(maps.Keys(one))
		has = slices.DeleteFunc(has, func(name string) bool {
			return slices.Contains([]string{slog.TimeKey, slog.LevelKey, slog.MessageKey, "more"}, name)
		})
		assert.ElementsMatch(t, words[1:], has, one.message())
	}
}

// logged returns a broker that is connected by a proxy, and its log.
func logged(t *testing.T, address string, o nats.Options) (*nats.Broker, *eventtest.Proxy, *logbook) {
	t.Helper()
	p, err := eventtest.StartProxy(address)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	log := &logbook{}
	o.Hosts, o.Logger = []string{p.Addr()}, log.logger()
	b := live(t, o)
	t.Cleanup(func() { log.check(t) })
	return b, p, log
}

// TestLogOfOutage: however many streams and attempts there are, the log of an outage has the lost
// connection, each kind of reason once, and its end. A restart has no lines of streams, and Close
// has none at all.
func TestLogOfOutage(t *testing.T) {
	t.Parallel()
	b, p, log := logged(t, brokertest.NATS(t)[0], nats.Options{})
	streams := make([]leat.Stream, 5)
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g"}
	for i := range streams {
		s, err := b.Subscribe(t.Context(), leat.Subscription{Topic: sub.Topic, Group: sub.Group, Unordered: true})
		require.NoError(t, err)
		streams[i] = s
	}
	require.Empty(t, log.lines(t, ""))
	p.Refuse()
	p.Cut()
	dials := p.Dials()
	eventually(t, "both connections are tried again and again", func() bool { return p.Dials() >= dials+6 })
	assert.LessOrEqual(t, len(log.lines(t, "")), 2, "%s", log.lines(t, ""))
	lost := log.lines(t, "the connection to NATS is lost")
	require.Len(t, lost, 1)
	assert.Equal(t, p.Addr(), lost[0]["host"])
	assert.Empty(t, log.lines(t, "again"))
	p.Admit()
	eventually(t, "all streams are well", func() bool {
		for _, s := range streams {
			if s.(leat.HealthReporter).Health() != nil {
				return false
			}
		}
		return b.Health() == nil
	})
	eventually(t, "the end is logged", func() bool { return len(log.lines(t, "connected to NATS again")) == 1 })
	require.NoError(t, b.Close())
	assert.LessOrEqual(t, len(log.lines(t, "")), 3, "%s", log.lines(t, ""))
}

// TestLogOfStart: a server that is down when a program starts is no different.
func TestLogOfStart(t *testing.T) {
	t.Parallel()
	p, err := eventtest.StartProxy(brokertest.NATS(t)[0])
	require.NoError(t, err)
	t.Cleanup(p.Close)
	p.Refuse()
	log := &logbook{}
	b := live(t, nats.Options{Hosts: []string{p.Addr()}, Logger: log.logger()})
	eventually(t, "it is logged", func() bool { return len(log.lines(t, "cannot connect to NATS")) == 1 })
	p.Admit()
	eventually(t, "the end is logged", func() bool { return len(log.lines(t, "connected to NATS again")) == 1 })
	require.NoError(t, b.Close())
	assert.Len(t, log.lines(t, ""), 2)
	log.check(t)
}

// TestLogOfDenials: what a server denies has one line, however many messages it is about.
func TestLogOfDenials(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { users: [
		{user: bob, password: two, permissions: {publish: {deny: ["leat.denied", "leat.other"]}}} ] }`})
	b, _, log := logged(t, server.Addr(), nats.Options{Credentials: login("two")})
	ctx, cancel := context.WithTimeout(t.Context(), brokertest.Patience)
	defer cancel()
	p := leat.NewProducer(b, nil)
	for _, topic := range []string{"denied", "other", "denied"} {
		require.Error(t, p.Publish(ctx, topic, brokertest.Events(t, 0, 100, 0)...))
	}
	lines := log.lines(t, "")
	require.Len(t, lines, 1)
	assert.Equal(t, "the NATS client reports an error", lines[0].message())
	assert.Equal(t, leat.CodePermissionDenied.String(), lines[0]["code"])
	assert.Contains(t, lines[0]["error"], `to "leat.`)
}

func login(passwords ...string) func(context.Context) (string, string, error) {
	var mu sync.Mutex
	return func(context.Context) (string, string, error) {
		mu.Lock()
		defer mu.Unlock()
		password := passwords[0]
		if len(passwords) > 1 {
			passwords = passwords[1:]
		}
		return "bob", password, nil
	}
}

// TestLogOfRefusedLogin: a login that is refused when a connection is made again is logged and told
// by health, although the client calls nothing then; calls do not wait for another one.
func TestLogOfRefusedLogin(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, &brokertest.NATSOptions{Config: `authorization { users: [{user: bob, password: two}] }`})
	for name, refused := range map[string]bool{"while it runs": false, "after a server that is down": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := eventtest.StartProxy(server.Addr())
			require.NoError(t, err)
			t.Cleanup(p.Close)
			log, o := &logbook{}, nats.Options{Hosts: []string{p.Addr()}}
			o.Logger, o.Credentials = log.logger(), login("two", "two", "wrong")
			if refused {
				p.Refuse()
				o.Credentials = login("wrong")
			}
			b := live(t, o)
			if refused {
				eventually(t, "nobody listens", func() bool { return len(log.lines(t, "cannot connect")) == 1 })
				p.Admit()
			} else {
				require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: "t", Group: "g"}))
				require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), "t", brokertest.Events(t, 0, 1, 0)...))
				p.Cut()
			}
			eventually(t, "health says it", func() bool { return leat.CodeOf(b.Health()) == leat.CodeUnauthenticated })
			assert.Equal(t, leat.CodeUnauthenticated, leat.CodeOf(b.Declare(t.Context(), leat.Subscription{Topic: "t", Group: "g"})))
			assert.Equal(t, leat.CodeUnauthenticated.String(), log.lines(t, "cannot connect")[len(log.lines(t, "cannot connect"))-1]["code"])
			assert.LessOrEqual(t, len(log.lines(t, "")), 3, "%s", log.lines(t, ""))
			log.check(t)
		})
	}
}

// TestLogOfStream: a stream whose consumer is gone says so, and that it consumes again.
func TestLogOfStream(t *testing.T) {
	t.Parallel()
	b, _, log := logged(t, brokertest.NATS(t)[0], nats.Options{AckWait: 4 * time.Second})
	sub := leat.Subscription{Topic: brokertest.Name(t), Group: "g", Unordered: true}
	_, err := b.Subscribe(t.Context(), sub)
	require.NoError(t, err)
	require.NoError(t, raw(t).DeleteConsumer(t.Context(), serverName(sub.Topic), "g"))
	eventually(t, "it is logged", func() bool { return len(log.lines(t, "cannot consume")) == 1 })
	require.NoError(t, b.Declare(t.Context(), sub))
	eventually(t, "the end is logged", func() bool { return len(log.lines(t, "consuming again")) == 1 })
	assert.Len(t, log.lines(t, ""), 3, "with that of the consumer that was created again: %s", log.lines(t, ""))
}

// TestLogOfExpiredLogin: why a server ends a connection is in the log and in health.
func TestLogOfExpiredLogin(t *testing.T) {
	t.Parallel()
	b, p, log := logged(t, brokertest.NATS(t)[0], nats.Options{})
	require.NoError(t, b.Declare(t.Context(), leat.Subscription{Topic: brokertest.Name(t), Group: "g"}))
	eventually(t, "both are connected", func() bool { return b.Health() == nil })
	p.Send(eventtest.ToClient, []byte("-ERR 'User Authentication Expired'\r\n"))
	p.Refuse()
	p.Cut()
	eventually(t, "it is logged", func() bool { return len(log.lines(t, "the connection to NATS is lost")) == 1 })
	assert.Contains(t, log.lines(t, "lost")[0]["error"], "authentication expired")
	assert.NotEqual(t, leat.CodeUnauthenticated.String(), log.lines(t, "lost")[0]["code"], "the next login may do")
}

// TestLogOfRestart: a server that restarts is one incident, whatever its streams have to find out
// then.
func TestLogOfRestart(t *testing.T) {
	t.Parallel()
	server := brokertest.StartNATS(t, nil)
	log := &logbook{}
	b := live(t, nats.Options{Hosts: server.Addrs(), Logger: log.logger()})
	var streams []leat.Stream
	for _, sub := range []leat.Subscription{
		{Topic: "ordered", Group: "g"}, {Topic: "free", Group: "g", Unordered: true}, {Topic: "all", Broadcast: true},
	} {
		s, err := b.Subscribe(t.Context(), sub)
		require.NoError(t, err)
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), sub.Topic, brokertest.Events(t, 0, 2, 1)...))
		brokertest.Hold(t, s, 2)
		streams = append(streams, s)
	}
	require.NoError(t, server.Restart(t.Context()))
	for i, topic := range []string{"ordered", "free", "all"} {
		require.NoError(t, leat.NewProducer(b, nil).Publish(t.Context(), topic, brokertest.Events(t, 2, 3, 2)...))
		brokertest.Hold(t, streams[i], 1)
	}
	eventually(t, "the end is logged", func() bool { return len(log.lines(t, "connected to NATS again")) == 1 })
	eventually(t, "all streams are well", func() bool {
		for _, s := range streams {
			if s.(leat.HealthReporter).Health() != nil {
				return false
			}
		}
		return true
	})
	assert.LessOrEqual(t, len(log.lines(t, "")), 3, "%s", log.lines(t, ""))
	log.check(t)
}
