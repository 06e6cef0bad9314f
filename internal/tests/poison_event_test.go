package leat_test

import (
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/leatgo/leat"
)

func poisonInfo() leat.Info {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return leat.Info{
		Topic: "orders", Group: "billing", Attempt: 3, FirstAttempt: at, Deliveries: 2, Received: at.Add(time.Second),
		Position: leat.Position{Partition: 1, Offset: 42},
	}
}

func TestPoisonedAsEvent(t *testing.T) {
	e := newEvent(t).WithKey("k").WithExtension("a", true).WithExtension("z", []byte{1}).WithText("body")
	givenUp := time.Date(2026, 1, 2, 3, 5, 0, 0, time.FixedZone("", 3600))
	p, err := leat.Poisoned{Event: e, Reason: errors.New("no\nstock \xff"), Info: poisonInfo(), At: givenUp}.AsEvent()
	require.NoError(t, err)
	require.NoError(t, p.Validate())
	want := maps.Collect(e.Attributes())
	maps.Copy(want, map[string]string{
		"leatreason": `no\nstock \xff`, "leatattempts": "3", "leatdeliveries": "2",
		"leatfirstattempt": "2026-01-02T03:04:05Z", "leatreceived": "2026-01-02T03:04:06Z",
		"leatpoisoned": "2026-01-02T02:05:00Z", "leattopic": "orders", "leatgroup": "billing", "leatposition": "1/42",
	})
	assert.Equal(t, want, maps.Collect(p.Attributes()))
	assert.Equal(t, "body", p.DataString())
	n, _ := p.Extension("leatattempts")
	assert.Equal(t, int32(3), n)
	at, _ := p.Extension("leatreceived")
	assert.IsType(t, time.Time{}, at)

	text, err := p.MarshalJSON()
	require.NoError(t, err)
	back, err := leat.ParseEvent(text)
	require.NoError(t, err)
	for name, read := range map[string]leat.Event{"as it was made": p, "after a transport": back} {
		got, err := leat.PoisonedFrom(read)
		require.NoError(t, err, name)
		assert.True(t, got.Event.Equal(e), name)
		assert.Equal(t, e.Size(), got.Event.Size(), name)
		assert.Nil(t, got.Malformed, name)
		assert.EqualError(t, got.Reason, `no\nstock \xff`, name)
		assert.Equal(t, poisonInfo(), got.Info, name)
		assert.True(t, got.At.Equal(time.Date(2026, 1, 2, 2, 5, 0, 0, time.UTC)), name)
		again, err := got.AsEvent()
		require.NoError(t, err, name)
		assert.True(t, again.Equal(p), "%s: nothing is lost on the way", name)
		got.Replays = 2
		again, err = got.AsEvent()
		require.NoError(t, err, name)
		n, _ := again.Extension("leatreplays")
		assert.Equal(t, int32(2), n)
		twice, err := leat.PoisonedFrom(again)
		require.NoError(t, err, name)
		assert.Equal(t, 2, twice.Replays)
		assert.True(t, twice.Event.Equal(e), name)
		again, err = leat.Poisoned{Event: again, Reason: errBoom}.AsEvent()
		require.NoError(t, err)
		_, there := again.Extension("leatreplays")
		assert.False(t, there, "%s: it was poisoned anew", name)
	}

	info := leat.Info{Topic: "orders.billing.poison", Group: "replay"}
	again, err := leat.Poisoned{Event: back, Reason: errors.New("still"), Info: info}.AsEvent()
	require.NoError(t, err)
	want = maps.Collect(e.Attributes())
	maps.Copy(want, map[string]string{"leatreason": "still", "leatattempts": "0", "leattopic": "orders.billing.poison", "leatgroup": "replay"})
	assert.Equal(t, want, maps.Collect(again.Attributes()), "what was there before is replaced, what is unknown is left out")
}

func TestPoisonReason(t *testing.T) {
	for name, c := range map[string]struct {
		reason error
		want   string
	}{
		"none":         {nil, "no reason given"},
		"empty":        {errors.New(""), "no reason given"},
		"plain":        {errors.New("€ 'quoted' \"x\""), "€ 'quoted' \"x\""},
		"controls":     {errors.New("a\x00\t\x7f\u0085\ufffe'"), `a\x00\t\x7f\u0085\ufffe'`},
		"long":         {errors.New(strings.Repeat("€", 400)), strings.Repeat("€", 340) + "..."},
		"long escapes": {errors.New(strings.Repeat("\x00", 1024)), strings.Repeat(`\x00`, 255) + "..."},
		"at the limit": {errors.New(strings.Repeat("x", 1024)), strings.Repeat("x", 1024)},
		"rejected":     {leat.Reject(errors.New("bad")), "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := leat.Poisoned{Event: newEvent(t), Reason: c.reason}.AsEvent()
			require.NoError(t, err)
			got, _ := p.Extension("leatreason")
			assert.Equal(t, c.want, got)
			assert.LessOrEqual(t, len(got.(string)), 1024)
			assert.True(t, utf8.ValidString(got.(string)))
		})
	}
}

func TestPoisonedLimits(t *testing.T) {
	_, err := leat.Poisoned{}.AsEvent()
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = leat.Poisoned{Event: newEvent(t).WithID("")}.AsEvent()
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = leat.Poisoned{Reduced: &leat.Reduction{}}.AsEvent()
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))

	e := newEvent(t)
	for i := range 59 {
		e = e.WithExtension("x"+strconv.Itoa(i), i)
	}
	require.NoError(t, e.Validate())
	reason := errors.New(strings.Repeat("x", 2000))
	p, err := leat.Poisoned{Event: e, Reason: reason, Info: poisonInfo(), At: time.Now()}.AsEvent()
	require.NoError(t, err, "poison publishes have room for 16 attributes more")
	text, err := p.MarshalJSON()
	require.NoError(t, err)
	_, err = leat.ParseEvent(text)
	require.NoError(t, err)

	// The Producer lets a poisoned event use what it keeps free of other events, before and after a
	// transport.
	broker := &storeBroker{}
	producer := leat.NewProducer(broker, nil)
	big := newEvent(t).WithData("application/octet-stream", make([]byte, 1<<20-8<<10-200))
	require.NoError(t, producer.Publish(t.Context(), "t", big))
	p, err = leat.Poisoned{Event: big, Reason: reason, Info: poisonInfo()}.AsEvent()
	require.NoError(t, err)
	require.NoError(t, producer.Publish(t.Context(), "t", p))
	text, err = p.MarshalJSON()
	require.NoError(t, err)
	p, err = leat.ParseEvent(text)
	require.NoError(t, err)
	require.NoError(t, producer.Publish(t.Context(), "t", p))
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(producer.Publish(t.Context(), "t", original(t, p).WithSubject(strings.Repeat("x", 1000)))))
}

func TestMalformedAsEvent(t *testing.T) {
	for name, m := range map[string]*leat.Malformed{
		"all": {
			Headers: []leat.Header{
				{Name: "a", Value: []byte("1")},
				{Name: "A", Value: nil},
				{Name: "a", Value: []byte{}},
				{Name: "\xff\"\n", Value: []byte{0xff}},
				{Name: "q\"\\\n\u0001", Value: []byte("x")},
				{Name: "", Value: nil},
			},
			Key: []byte("k\xff"), Body: []byte("{\x00\xff"),
		},
		"empty": {Key: []byte{}, Body: []byte{}},
		"nil":   {},
	} {
		t.Run(name, func(t *testing.T) {
			m.Reason = errors.New("no id\n") //nolint:revive // the newline is what is tested
			p, err := leat.Poisoned{Malformed: m, Info: poisonInfo(), At: time.Now()}.AsEvent()
			require.NoError(t, err)
			require.NoError(t, p.Validate())
			assert.Equal(t, "leat.malformed.v1", p.Type())
			assert.Equal(t, "/leat/orders/billing", p.Source())
			assert.Equal(t, "application/json", p.DataContentType())
			assert.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", p.ID(), "a UUIDv8")
			assert.Equal(t, poisonInfo().Received, p.Time())
			assert.True(t, json.Valid(p.Data()), p.DataString())
			topic, _ := p.Extension("leattopic")
			assert.Equal(t, "orders", topic)
			text, err := p.MarshalJSON()
			require.NoError(t, err)
			back, err := leat.ParseEvent(text)
			require.NoError(t, err)
			read, err := leat.PoisonedFrom(back)
			require.NoError(t, err)
			assert.True(t, read.Event.IsZero())
			got := read.Malformed
			require.NotNil(t, got)
			assert.Equal(t, m.Headers, got.Headers)
			assert.Equal(t, m.Key, got.Key)
			assert.Equal(t, m.Body, got.Body)
			assert.EqualError(t, got.Reason, `no id\n`)
			assert.Equal(t, got.Reason, read.Reason)
			assert.Equal(t, poisonInfo(), read.Info)
			again, err := read.AsEvent()
			require.NoError(t, err)
			assert.True(t, again.Equal(p), "nothing is lost on the way")
		})
	}
}

func TestMalformedSourceIsEscaped(t *testing.T) {
	p, err := leat.Poisoned{Malformed: &leat.Malformed{}, Info: leat.Info{Topic: "a b/ä"}}.AsEvent()
	require.NoError(t, err)
	assert.Equal(t, "/leat/a%20b%2F%C3%A4", p.Source())
	require.NoError(t, p.Validate())
}

// TestPoisonedEventKeepsItsID holds since a poison queue may be asked again after an outcome that
// is unknown.
func TestPoisonedEventKeepsItsID(t *testing.T) {
	id := func(p leat.Poisoned) string {
		e, err := p.AsEvent()
		require.NoError(t, err)
		return e.ID()
	}
	m := func() *leat.Malformed {
		return &leat.Malformed{Headers: []leat.Header{{Name: "a", Value: []byte("1")}}, Key: []byte("k"), Body: []byte("{")}
	}
	info := poisonInfo()
	first := id(leat.Poisoned{Malformed: m(), Info: info, At: time.Now()})
	assert.Equal(t, "5235c713-8105-8be4-b9b9-c68744df9b86", first, "ids must stay as they are from one version to the next")

	later := info
	later.Group, later.Deliveries, later.Attempt, later.Received = "shipping", 7, 0, info.Received.Add(time.Hour)
	assert.Equal(t, first, id(leat.Poisoned{Malformed: m(), Info: later, Reason: errors.New("another"), At: time.Now().Add(time.Hour)}),
		"the same delivery, in another group and at another time")

	seen := map[string]string{first: "first"}
	for name, change := range map[string]func(*leat.Malformed, *leat.Info){
		"topic":    func(_ *leat.Malformed, i *leat.Info) { i.Topic = "invoices" },
		"position": func(_ *leat.Malformed, i *leat.Info) { i.Position.Offset++ },
		"header":   func(m *leat.Malformed, _ *leat.Info) { m.Headers[0].Value = nil },
		"key":      func(m *leat.Malformed, _ *leat.Info) { m.Key = nil },
		"body":     func(m *leat.Malformed, _ *leat.Info) { m.Body = []byte("[") },
	} {
		other, i := m(), info
		change(other, &i)
		got := id(leat.Poisoned{Malformed: other, Info: i})
		assert.NotContains(t, seen, got, "another %s is another delivery", name)
		seen[got] = name
	}

	e := newEvent(t)
	assert.Equal(t, e.ID(), id(leat.Poisoned{Event: e, Info: info}))
	assert.Equal(t, e.ID(), id(leat.Poisoned{Event: e, Info: later}))
}

func TestPoisonedFromErrors(t *testing.T) {
	for name, e := range map[string]leat.Event{
		"ordinary": newEvent(t), "zero": {}, "only its type": newEvent(t).WithType("leat.malformed.v1"),
	} {
		_, err := leat.PoisonedFrom(e)
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err), name)
		assert.ErrorContains(t, err, "is not from a poison queue", name)
	}
	for _, data := range []string{"", "SECRET", `{"key":"SECRET!"}`, `{"key":5}`} {
		p, err := leat.PoisonedFrom(decodePoisoned(t, "leat.malformed.v1", data, nil))
		assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
		assert.ErrorContains(t, err, "malformed delivery")
		assert.NotContains(t, err.Error(), "SECRET")
		assert.Equal(t, leat.Poisoned{}, p)
	}
}

// TestPoisonedFromStrangers reads what other programs may have written: what cannot be read is
// unknown.
func TestPoisonedFromStrangers(t *testing.T) {
	p, err := leat.PoisonedFrom(decodePoisoned(t, "order.placed", "body", map[string]string{
		"leatattempts": "many", "leatdeliveries": "-5", "leatreceived": "yesterday", "leatfuture": "x", "other": "kept",
	}))
	require.NoError(t, err)
	assert.Equal(t, leat.Info{}, p.Info)
	assert.True(t, p.At.IsZero())
	var names []string
	for name := range p.Event.Extensions() {
		names = append(names, name)
	}
	assert.Equal(t, []string{"leatfuture", "other"}, names, "only the poison queue's own names are taken off")

	for text, want := range map[string]leat.Position{
		"1/42":                    {Partition: 1, Offset: 42},
		"0/7":                     {Offset: 7},
		"-1/-2":                   {Partition: -1, Offset: -2},
		"0/0":                     {ID: "0/0"},
		"01/2":                    {ID: "01/2"},
		"1/2/3":                   {ID: "1/2/3"},
		"99999999999/1":           {ID: "99999999999/1"},
		"4c5b-77":                 {ID: "4c5b-77"},
		"1/9223372036854775808":   {ID: "1/9223372036854775808"},
		"arn:aws:sqs:orders/12/3": {ID: "arn:aws:sqs:orders/12/3"},
	} {
		p, err := leat.PoisonedFrom(decodePoisoned(t, "order.placed", "", map[string]string{"leatposition": text}))
		require.NoError(t, err)
		assert.Equal(t, want, p.Info.Position, text)
		assert.Equal(t, text, p.Info.Position.String())
	}
}

// decodePoisoned returns an event as another program could have put it into a poison queue.
func decodePoisoned(t *testing.T, eventType, data string, more map[string]string) leat.Event {
	t.Helper()
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")},
		{Name: "id", Value: []byte("1")},
		{Name: "source", Value: []byte("/s")},
		{Name: "type", Value: []byte(eventType)},
		{Name: "leatreason", Value: []byte("no stock")},
	}
	for name, value := range more {
		headers = append(headers, leat.Header{Name: name, Value: []byte(value)})
	}
	e, err := new(leat.Decoder).Decode(headers, []byte(data))
	require.NoError(t, err)
	return e
}

func original(t *testing.T, poisoned leat.Event) leat.Event {
	t.Helper()
	p, err := leat.PoisonedFrom(poisoned)
	require.NoError(t, err)
	return p.Event
}
