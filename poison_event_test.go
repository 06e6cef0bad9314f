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
	when := time.Date(2026, 1, 2, 3, 5, 0, 0, time.FixedZone("", 3600))
	p, err := leat.Poisoned{Event: e, Reason: errors.New("no\nstock \xff"), Info: poisonInfo(), At: when}.AsEvent()
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

	assert.True(t, leat.Original(p).Equal(e))
	assert.Equal(t, e.Size(), leat.Original(p).Size())
	same := leat.Original(e) == e
	assert.True(t, same, "nothing to strip, nothing made")
	text, err := p.MarshalJSON()
	require.NoError(t, err)
	back, err := leat.ParseEvent(text)
	require.NoError(t, err)
	assert.True(t, leat.Original(back).Equal(e), "also after a transport")

	replay := leat.Info{Topic: "orders.billing.poison", Group: "replay"}
	again, err := leat.Poisoned{Event: back, Reason: errors.New("still"), Info: replay}.AsEvent()
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
	_, err = leat.Poisoned{Event: newEvent(t).WithText(strings.Repeat("x", 1<<20-130))}.AsEvent()
	requireAttributeError(t, err, leat.CodeTooLarge, "event", "bytes", "Size")

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

	// The Producer lets a poisoned event use what it keeps free of other events, before and after a transport.
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
	original := leat.Original(p).WithSubject(strings.Repeat("x", 1000))
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(producer.Publish(t.Context(), "t", original)))
}

func TestMalformedAsEvent(t *testing.T) {
	for name, m := range map[string]*leat.Malformed{
		"all": {
			Headers: []leat.Header{
				{"a", []byte("1")}, {"A", nil}, {"a", []byte{}}, {"\xff\"\n", []byte{0xff}}, {"q\"\\\n\u0001", []byte("x")}, {"", nil},
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
			assert.Len(t, p.ID(), 36)
			assert.True(t, json.Valid(p.Data()), p.DataString())
			topic, _ := p.Extension("leattopic")
			assert.Equal(t, "orders", topic)
			text, err := p.MarshalJSON()
			require.NoError(t, err)
			back, err := leat.ParseEvent(text)
			require.NoError(t, err)
			got, err := leat.MalformedFrom(back)
			require.NoError(t, err)
			assert.Equal(t, m.Headers, got.Headers)
			assert.Equal(t, m.Key, got.Key)
			assert.Equal(t, m.Body, got.Body)
			assert.EqualError(t, got.Reason, `no id\n`)
		})
	}
}

func TestMalformedSourceIsEscaped(t *testing.T) {
	p, err := leat.Poisoned{Malformed: &leat.Malformed{}, Info: leat.Info{Topic: "a b/ä"}}.AsEvent()
	require.NoError(t, err)
	assert.Equal(t, "/leat/a%20b%2F%C3%A4", p.Source())
	require.NoError(t, p.Validate())
	_, err = leat.Poisoned{Malformed: &leat.Malformed{Body: make([]byte, 800<<10)}}.AsEvent()
	assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
}

func TestMalformedFromErrors(t *testing.T) {
	_, err := leat.MalformedFrom(newEvent(t))
	assert.Equal(t, leat.CodeInvalid, leat.CodeOf(err))
	_, err = leat.MalformedFrom(leat.Event{})
	assert.Error(t, err)
	for _, data := range []string{"", "SECRET", `{"key":"SECRET!"}`, `{"key":5}`} {
		_, err = leat.MalformedFrom(newEvent(t).WithType("leat.malformed.v1").WithData("application/json", []byte(data)))
		assert.Error(t, err)
		assert.NotContains(t, err.Error(), "SECRET")
	}
}
