package leat_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreignEvent is an event as another producer may write it, which Leat reads.
func foreignEvent(t testing.TB, extensions, valueBytes int, contentType string, data []byte) leat.Event {
	t.Helper()
	headers := []leat.Header{
		{Name: "specversion", Value: []byte("1.0")},
		{Name: "id", Value: []byte("A-1")},
		{Name: "source", Value: []byte("/foreign")},
		{Name: "type", Value: []byte("order.placed")},
		{Name: "datacontenttype", Value: []byte(contentType)}, {Name: "partitionkey", Value: []byte("customer-7")},
	}
	for i := range extensions {
		headers = append(headers, leat.Header{Name: fmt.Sprintf("x%03d", i), Value: bytes.Repeat([]byte{byte('a' + i%26)}, valueBytes)})
	}
	e, err := new(leat.Decoder).Decode(headers, data)
	require.NoError(t, err)
	return e
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// throughPoison writes p within limits, reads it back and checks what always holds.
func throughPoison(t testing.TB, p leat.Poisoned, limits leat.Limits) (e leat.Event, back leat.Poisoned) {
	t.Helper()
	e, err := p.AsEventWithin(limits)
	require.NoError(t, err)
	require.NoError(t, e.Validate())
	most := 1 << 20
	if limits.MaxEventBytes > 0 {
		most = limits.MaxEventBytes
	}
	require.LessOrEqual(t, e.Size(), most)
	attributes := 80
	if limits.MaxAttributes > 0 {
		attributes = limits.MaxAttributes
	}
	require.LessOrEqual(t, len(maps.Collect(e.Attributes())), attributes)
	back, err = leat.PoisonedFrom(e)
	require.NoError(t, err)
	return e, back
}

// TestWhatAConsumerReceivesCanBePoisoned has the shapes that did not fit into a poison queue.
func TestWhatAConsumerReceivesCanBePoisoned(t *testing.T) {
	reason := errors.New("no stock")
	t.Run("72 extensions", func(t *testing.T) {
		original := foreignEvent(t, 72, 10, "application/json", []byte(`{"order":7}`))
		e, back := throughPoison(t, leat.Poisoned{Event: original, Reason: reason, Info: poisonInfo(), At: time.Now()}, leat.Limits{})
		assert.Equal(t, "leat.reduced.v1", e.Type(), "no handler takes it for the original")
		assert.Equal(t, "A-1", e.ID())
		assert.Equal(t, "/foreign", e.Source())
		assert.Equal(t, "customer-7", e.Key(), "the poison topic keeps the order")
		assert.Nil(t, back.Reduced, "nothing is missing")
		assert.True(t, back.Event.Equal(original))
		assert.Equal(t, poisonInfo(), back.Info)
	})
	t.Run("a valid event of 1,048,500 bytes", func(t *testing.T) {
		for _, c := range []string{"application/json", "text/plain", "application/octet-stream"} {
			data := append(append([]byte(`"`), bytes.Repeat([]byte("x"), 1_048_330)...), '"')
			original := foreignEvent(t, 1, 20, c, data)
			require.Greater(t, original.Size(), 1_048_400)
			e, back := throughPoison(t, leat.Poisoned{Event: original, Reason: reason, Info: poisonInfo()}, leat.Limits{})
			assert.Equal(t, "leat.reduced.v1", e.Type())
			require.NotNil(t, back.Reduced)
			assert.True(t, back.Event.IsZero(), "nobody takes a piece for the whole")
			r := back.Reduced
			assert.Equal(t, original.Size(), r.Size)
			assert.Equal(t, len(data), r.DataSize)
			assert.Equal(t, sha(data), r.DataSHA256)
			assert.Empty(t, r.Dropped)
			kept := r.Event.Data()
			assert.True(t, bytes.HasPrefix(data, kept))
			assert.Greater(t, len(kept), 780_000, "what fits is there")
			assert.True(t, r.Event.WithData(c, nil).Equal(original.WithData(c, nil)), "all attributes are there")
		}
	})
	t.Run("attributes of half a megabyte", func(t *testing.T) {
		original := foreignEvent(t, 70, 14<<10, "text/plain", bytes.Repeat([]byte("y"), 30<<10))
		limits := leat.Limits{MaxEventBytes: 256 << 10}
		_, back := throughPoison(t, leat.Poisoned{Event: original, Reason: reason, Info: poisonInfo()}, limits)
		r := back.Reduced
		require.NotNil(t, r)
		assert.Equal(t, original.Data(), r.Event.Data())
		left := maps.Collect(r.Event.Attributes())
		assert.Len(t, r.Dropped, 76-len(left))
		assert.Greater(t, len(left), 15)
		for name, value := range original.Attributes() {
			if got, ok := left[name]; ok {
				assert.Equal(t, value, got, name)
			} else {
				assert.Contains(t, r.Dropped, name)
			}
		}
	})
	t.Run("required attributes that do not fit", func(t *testing.T) {
		long := strings.Repeat("i", 60<<10)
		original, err := new(leat.Decoder).Decode([]leat.Header{
			{Name: "specversion", Value: []byte("1.0")},
			{Name: "id", Value: []byte(long)},
			{Name: "source", Value: []byte("/" + long)},
			{Name: "type", Value: []byte(long)},
			{Name: "subject", Value: []byte(long)}, {Name: "partitionkey", Value: []byte(long)},
		}, nil)
		require.NoError(t, err)
		p := leat.Poisoned{Event: original, Reason: reason, Info: poisonInfo()}
		e, back := throughPoison(t, p, leat.Limits{MaxEventBytes: 64 << 10})
		require.NotNil(t, back.Reduced)
		assert.Equal(t, []string{"id", "source", "type", "subject", "partitionkey"}, back.Reduced.Dropped)
		assert.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", e.ID(), "a UUIDv8")
		assert.Equal(t, "/leat/orders/billing", e.Source())
		assert.Equal(t, "sha256:"+sha([]byte(long)), e.Key())
		small, _ := throughPoison(t, p, leat.Limits{MaxEventBytes: 8 << 10, MaxAttributes: 20})
		assert.Equal(t, e.ID(), small.ID(), "the id does not depend on what fits")
	})
	t.Run("a malformed body of 900 kB", func(t *testing.T) {
		m := &leat.Malformed{
			Headers: []leat.Header{{Name: "content-type", Value: []byte("text/plain")},
				{Name: "\xff", Value: []byte{0, 1}},
				{Name: "big", Value: bytes.Repeat([]byte("h"), 600<<10)}},
			Key: []byte("k\xff"), Body: bytes.Repeat([]byte("{\xff"), 450_000), Reason: errors.New("no JSON"),
		}
		p := leat.Poisoned{Malformed: m, Info: poisonInfo(), At: time.Now()}
		e, back := throughPoison(t, p, leat.Limits{})
		assert.Equal(t, "leat.malformed.v1", e.Type())
		require.NotNil(t, back.Malformed)
		require.NotNil(t, back.Reduced)
		r := back.Reduced
		assert.Equal(t, m.Headers[:2], back.Malformed.Headers)
		assert.Equal(t, []string{"big"}, r.Dropped)
		assert.Equal(t, m.Key, back.Malformed.Key)
		assert.True(t, bytes.HasPrefix(m.Body, back.Malformed.Body))
		assert.Greater(t, len(back.Malformed.Body), 700_000)
		assert.Equal(t, leat.Reduction{
			Size: m.Size(), DataSize: 900_000, DataSHA256: sha(m.Body), KeySize: 2, Dropped: []string{"big"},
		}, *r)
		assert.Equal(t, poisonInfo(), back.Info)
		small, _ := throughPoison(t, p, leat.Limits{MaxEventBytes: 16 << 10})
		assert.Equal(t, e.ID(), small.ID(), "the id does not depend on what fits")
		again, err := back.AsEvent()
		require.NoError(t, err)
		assert.True(t, again.Equal(e), "nothing more is lost on the way")
	})
	t.Run("limits below what the reduced form needs", func(t *testing.T) {
		for _, limits := range []leat.Limits{{MaxEventBytes: 1000}, {MaxAttributes: 10}} {
			_, err := leat.Poisoned{Event: foreignEvent(t, 60, 20, "a/b", nil), Reason: reason, Info: poisonInfo()}.AsEventWithin(limits)
			assert.Equal(t, leat.CodeTooLarge, leat.CodeOf(err))
			require.ErrorContains(t, err, "it needs 8192 and 20")
		}
		small := newEvent(t)
		e, _ := throughPoison(t, leat.Poisoned{Event: small, Reason: reason}, leat.Limits{MaxEventBytes: 1000, MaxAttributes: 12})
		assert.Equal(t, small.Type(), e.Type(), "what fits is written as it is")
	})
}

// TestAReducedEventIsPoisonedOnceMore: a Consumer that reads a poison queue gives up on what it
// finds there.
func TestAReducedEventIsPoisonedOnceMore(t *testing.T) {
	whole := foreignEvent(t, 72, 10, "application/json", []byte(`{"order":7}`))
	large := foreignEvent(t, 3, 10, "application/json", []byte(`"`+strings.Repeat("x", 1_048_300)+`"`))
	malformed := &leat.Malformed{Body: bytes.Repeat([]byte{0xff}, 776<<10), Reason: errors.New("no JSON")} // fits, barely
	for name, p := range map[string]leat.Poisoned{
		"whole": {Event: whole}, "large": {Event: large}, "malformed": {Malformed: malformed},
	} {
		t.Run(name, func(t *testing.T) {
			p.Info = poisonInfo()
			p.Reason = errors.New("x")
			first, got := throughPoison(t, p, leat.Limits{})
			again := leat.Poisoned{
				Event: first, Reason: errors.New(strings.Repeat("long", 400)),
				Info: leat.Info{Topic: "orders.billing.poison", Group: "replay", Position: leat.Position{ID: strings.Repeat("p", 900)}},
			}
			second, back := throughPoison(t, again, leat.Limits{})
			assert.Equal(t, first.ID(), second.ID())
			assert.Equal(t, first.Type(), second.Type())
			assert.Equal(t, "orders.billing.poison", back.Info.Topic)
			if got.Reduced == nil && back.Reduced == nil {
				assert.True(t, got.Event.Equal(back.Event))
				assert.Equal(t, got.Malformed == nil, back.Malformed == nil)
				return
			}
			require.NotNil(t, back.Reduced)
			third, back := throughPoison(t, again, leat.Limits{MaxEventBytes: 32 << 10})
			assert.Equal(t, first.ID(), third.ID())
			require.NotNil(t, back.Reduced)
			if p.Malformed == nil {
				assert.True(t, strings.HasPrefix(large.DataString(), back.Reduced.Event.DataString()))
				assert.Equal(t, large.Size(), back.Reduced.Size, "the size is that of the original")
				assert.Equal(t, sha(large.Data()), back.Reduced.DataSHA256)
			} else {
				assert.Equal(t, len(malformed.Body), back.Reduced.DataSize)
			}
		})
	}
}

// TestPoisonedUnderTheTransportsKey: an event without partitionkey that came with a key of the
// transport keeps it.
func TestPoisonedUnderTheTransportsKey(t *testing.T) {
	emptyKey, err := new(leat.Decoder).Decode([]leat.Header{
		{Name: "specversion", Value: []byte("1.0")},
		{Name: "id", Value: []byte("1")},
		{Name: "source", Value: []byte("/s")},
		{Name: "type", Value: []byte("t")},
		{Name: "partitionkey", Value: []byte("")},
	}, nil)
	require.NoError(t, err)
	long := strings.Repeat("k", 70<<10)
	for name, c := range map[string]struct {
		event           leat.Event
		key             string
		form, partition string
		back            string
	}{
		"text":                         {newEvent(t), "customer-7", "text", "customer-7", "customer-7"},
		"bytes":                        {newEvent(t), "\x00\xff", "base64", "AP8=", "\x00\xff"},
		"too long":                     {newEvent(t), long, "sha256", "sha256:" + sha([]byte(long)), "sha256:" + sha([]byte(long))},
		"beside an empty partitionkey": {emptyKey, "k", "text empty", "k", "k"},
		"none":                         {newEvent(t), "", "", "", ""},
		"its own":                      {newEvent(t).WithKey("own"), "", "", "own", ""},
	} {
		t.Run(name, func(t *testing.T) {
			info := poisonInfo()
			info.Key = c.key
			e, back := throughPoison(t, leat.Poisoned{Event: c.event, Reason: errBoom, Info: info}, leat.Limits{})
			assert.Equal(t, c.partition, e.Key())
			form, _ := e.Extension("leatkey")
			if c.form == "" {
				assert.Nil(t, form)
			} else {
				assert.Equal(t, c.form, form)
			}
			assert.True(t, back.Event.Equal(c.event), "the original has no other partitionkey than it came with")
			assert.Equal(t, c.back, back.Info.Key)

			// Once more, as the event that it is in the poison queue now.
			replay := leat.Info{Topic: testPoisonTopic, Group: leat.ReplayGroup}
			_, back = throughPoison(t, leat.Poisoned{Event: e, Reason: errBoom, Info: replay}, leat.Limits{})
			assert.True(t, back.Event.Equal(c.event))
			assert.Equal(t, c.back, back.Info.Key)
		})
	}
	t.Run("reduced", func(t *testing.T) {
		original := foreignEvent(t, 72, 10, "a/b", nil).WithKey("")
		info := poisonInfo()
		info.Key = "\xff"
		e, back := throughPoison(t, leat.Poisoned{Event: original, Info: info}, leat.Limits{})
		assert.Equal(t, "leat.reduced.v1", e.Type())
		assert.Equal(t, "/w==", e.Key())
		assert.True(t, back.Event.Equal(original))
		assert.Equal(t, "\xff", back.Info.Key)
	})
	t.Run("malformed", func(t *testing.T) {
		info := poisonInfo()
		info.Key = "k"
		e, back := throughPoison(t, leat.Poisoned{Malformed: &leat.Malformed{Key: []byte("k")}, Info: info}, leat.Limits{})
		assert.Equal(t, "k", e.Key())
		assert.Equal(t, "k", back.Info.Key)
	})
	t.Run("an extension of that name in an event that was not poisoned", func(t *testing.T) {
		foreign, err := new(leat.Decoder).Decode([]leat.Header{
			{Name: "specversion", Value: []byte("1.0")},
			{Name: "id", Value: []byte("1")},
			{Name: "source", Value: []byte("/s")},
			{Name: "type", Value: []byte("t")},
			{Name: "partitionkey", Value: []byte("k")}, {Name: "leatkey", Value: []byte("text")}, {Name: "leatrepaired", Value: []byte("time")},
		}, nil)
		require.NoError(t, err)
		_, back := throughPoison(t, leat.Poisoned{Event: foreign, Reason: errBoom}, leat.Limits{})
		assert.Equal(t, "k", back.Event.Key())
		repaired, _ := back.Event.Extension("leatrepaired")
		assert.Equal(t, "time", repaired, "what is not the poison queue's stays")
	})
}
