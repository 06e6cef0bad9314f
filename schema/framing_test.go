package schema_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/schema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// messages is a language whose data has the place of a message behind the prefix.
type messages struct{ length }

func (messages) Name() string { return "PROTOBUF" }

func version(t testing.TB, r schema.Reader, subject string, n int) *schema.Schema {
	t.Helper()
	s, err := r.ByRef(t.Context(), schema.Ref{Subject: subject, Version: n})
	require.NoError(t, err)
	return s
}

// prefix is Confluent's for the number of a schema.
func prefix(id int) string { return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(id))) }

// header is Confluent's for the GUID of a schema.
func header(t testing.TB, guid string) []leat.Header {
	t.Helper()
	u, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
	require.NoError(t, err)
	return []leat.Header{{Name: "__value_schema_id", Value: append([]byte{1}, u...)}}
}

// handle gives an event to Process, and returns what the handler got.
func handle(e *schema.Enforcer, event leat.Event) (got leat.Event, err error) {
	h := e.Process()(leat.HandlerFunc(func(_ context.Context, e leat.Event) error { got = e; return nil }))
	return got, h.Handle(context.Background(), event)
}

func TestPrefix(t *testing.T) {
	for name, c := range map[string]struct {
		format schema.Format
		behind string
	}{"one schema, one type": {length{}, ""}, "the place of the message": {messages{}, "\x00"}} {
		t.Run(name, func(t *testing.T) {
			m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{c.format}, Level: schema.None})
			require.NoError(t, err)
			for _, text := range []string{"10", "20"} {
				_, err := m.Register(t.Context(), "orders", schema.Definition{Format: c.format.Name(), Text: text})
				require.NoError(t, err)
			}
			o := schema.EnforcerOptions{Formats: []schema.Format{c.format}, Base: base, Pins: pinned(1), WritePrefix: true, ReadPrefix: true}
			e, err := schema.NewEnforcer(m, &o)
			require.NoError(t, err)
			long := strings.Repeat("x", 15)
			sent, outcomes := publish(t, e, event(t, "1", "ok"), event(t, "2", long), event(t, "3", "other").WithType("other"),
				event(t, "4", long).WithDataSchema(base+"/orders/versions/2"))
			hasCode(t, outcomes[1], leat.CodeInvalid, "longer than 10")
			require.Equal(t, []string{"1", "3", "4"}, ids(sent))
			first, second := version(t, m, "orders", 1), version(t, m, "orders", 2)
			assert.Equal(t, prefix(first.ID)+c.behind+"ok", sent[0].DataString())
			assert.Equal(t, "other", sent[1].DataString())
			assert.Equal(t, prefix(second.ID)+c.behind+long, sent[2].DataString())
			for _, s := range sent {
				assert.Empty(t, s.DataSchema())
				assert.Equal(t, "text/plain", s.DataContentType())
			}
			for i, want := range map[int]leat.Event{
				0: event(t, "1", "ok").WithDataSchema(base + "/orders/versions/1"), 1: event(t, "3", "other").WithType("other"),
				2: event(t, "4", long).WithDataSchema(base + "/orders/versions/2"),
			} {
				got, err := handle(e, sent[i])
				require.NoError(t, err)
				assert.Equal(t, want.DataString(), got.DataString())
				assert.Equal(t, want.DataSchema(), got.DataSchema())
			}
			got, err := handle(e, event(t, "1", "ok"))
			require.NoError(t, err)
			assert.Equal(t, "ok", got.DataString(), "data without a prefix has the schema of the pin")
			_, err = handle(newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: pinned(1)}), sent[2])
			assert.True(t, leat.IsRejected(err), "it is not read unless it is switched on")
			_, err = e.WriteHeaders(sent[0])
			hasCode(t, err, leat.CodeInvalid, "WritePrefix")
		})
	}
}

// A number or a GUID counts where the subject of the pin has it, whoever else has it too.
func TestNumbersOfOtherSubjects(t *testing.T) {
	m := orders(t)
	for _, text10 := range []string{"10", "30"} {
		_, err := m.Register(t.Context(), "aliens", text(text10))
		require.NoError(t, err)
	}
	e := newEnforcer(t, m, &schema.EnforcerOptions{Pins: pinned(2), ReadPrefix: true})
	shared, alien := version(t, m, "aliens", 1), version(t, m, "aliens", 2)
	long := strings.Repeat("x", 25)
	for _, shared := range []leat.Event{
		event(t, "1", prefix(shared.ID)+"ok"), event(t, "1", "ok").WithDataSchema(base + "/guids/" + shared.GUID),
	} {
		got, err := handle(e, shared)
		require.NoError(t, err)
		assert.Equal(t, "ok", got.DataString())
		assert.Equal(t, base+"/orders/versions/1", got.DataSchema())
	}
	for _, alien := range []leat.Event{
		event(t, "1", prefix(alien.ID)+long), event(t, "1", long).WithDataSchema(base + "/guids/" + alien.GUID),
		event(t, "1", prefix(7)+long),
	} {
		_, err := handle(e, alien)
		assert.True(t, leat.IsRejected(err), "%v", err)
		assert.ErrorContains(t, err, "the schema of subject orders with the ")
		assert.Equal(t, leat.CodeNotFound, leat.CodeOf(err))
		got, err := handle(e, alien.WithType("other"))
		require.NoError(t, err)
		assert.True(t, got.Equal(alien.WithType("other")), "what has no pin stays as it is")
	}
	_, outcomes := publish(t, e, event(t, "1", "ok").WithDataSchema(base+"/guids/"+shared.GUID),
		event(t, "2", "ok").WithDataSchema(base+"/guids/"+alien.GUID))
	require.NoError(t, outcomes[0])
	hasCode(t, outcomes[1], leat.CodeNotFound)
}

func TestHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		format schema.Format
		behind []byte
	}{"one schema, one type": {length{}, nil}, "the place of the message": {messages{}, []byte{0}}} {
		t.Run(name, func(t *testing.T) {
			m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{c.format}, Level: schema.None})
			require.NoError(t, err)
			for _, text := range []string{"10", "20"} {
				_, err := m.Register(t.Context(), "orders", schema.Definition{Format: c.format.Name(), Text: text})
				require.NoError(t, err)
			}
			o := schema.EnforcerOptions{Formats: []schema.Format{c.format}, Base: base, Pins: pinned(1)}
			e, err := schema.NewEnforcer(m, &o)
			require.NoError(t, err)
			_, err = e.WriteHeaders(event(t, "1", "ok"))
			hasCode(t, err, leat.CodeInvalid, "schema orders/1 is not loaded; give Enforcer.Publish to the Producer")
			require.NoError(t, e.Warm(t.Context()))
			for n, sent := range map[int]leat.Event{1: event(t, "1", "ok"), 2: event(t, "1", "ok").WithDataSchema(base + "/orders/versions/2")} {
				sent, outcomes := publish(t, e, sent)
				require.NoError(t, outcomes[0])
				want := header(t, version(t, m, "orders", n).GUID)
				want[0].Value = append(want[0].Value, c.behind...)
				headers, err := e.WriteHeaders(sent[0])
				require.NoError(t, err)
				assert.Equal(t, want, headers)
				assert.Equal(t, "ok", sent[0].DataString())
				assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = e.WriteHeaders(sent[0]) }))

				got, err := e.ReadHeaders(event(t, "1", "ok"), append(header(t, version(t, m, "orders", 3-n).GUID), headers...))
				require.NoError(t, err)
				assert.Equal(t, base+"/guids/"+version(t, m, "orders", n).GUID, got.DataSchema(), "the last one counts")
				_, err = e.WriteHeaders(got)
				hasCode(t, err, leat.CodeInvalid, "the dataschema has the GUID", "give Enforcer.Publish to the Producer")
				again, outcomes := publish(t, e, got)
				require.NoError(t, outcomes[0])
				assert.Equal(t, base+"/orders/versions/"+strconv.Itoa(n), again[0].DataSchema())
				headers, err = e.WriteHeaders(again[0])
				require.NoError(t, err)
				assert.Equal(t, want, headers)
				got, err = handle(e, got)
				require.NoError(t, err)
				assert.Equal(t, base+"/orders/versions/"+strconv.Itoa(n), got.DataSchema())
				assert.Equal(t, "ok", got.DataString())
			}
			for _, none := range []leat.Event{event(t, "1", "ok").WithType("other"), poisonedEvent(t)} {
				headers, err := e.WriteHeaders(none)
				require.NoError(t, err)
				assert.Empty(t, headers)
			}
		})
	}
}

// poisonedEvent is one in a poison queue.
func poisonedEvent(t testing.TB) leat.Event {
	t.Helper()
	e, err := leat.ParseEvent([]byte(`{"specversion":"1.0","id":"1","source":"/test","type":"order.placed","leatreason":"x","data":"ok"}`))
	require.NoError(t, err)
	require.True(t, leat.IsPoisoned(e))
	return e
}

func TestReadHeadersLeavesOthers(t *testing.T) {
	m := orders(t)
	e := newEnforcer(t, m, &schema.EnforcerOptions{Pins: pinned(1)})
	own := header(t, version(t, m, "orders", 2).GUID)
	for name, c := range map[string]struct {
		event   leat.Event
		headers []leat.Header
	}{
		"no pin":                 {event(t, "1", "ok").WithType("other"), own},
		"its own dataschema":     {event(t, "1", "ok").WithDataSchema(base + "/orders/versions/1"), own},
		"a GUID":                 {event(t, "1", "ok").WithDataSchema(base + "/guids/" + version(t, m, "orders", 1).GUID), own},
		"no header":              {event(t, "1", "ok"), nil},
		"the header of a key":    {event(t, "1", "ok"), []leat.Header{{Name: "__key_schema_id", Value: own[0].Value}}},
		"a header with no value": {event(t, "1", "ok"), []leat.Header{{Name: "__value_schema_id"}}},
		"poisoned":               {poisonedEvent(t), own},
	} {
		got, err := e.ReadHeaders(c.event, c.headers)
		require.NoError(t, err, name)
		assert.True(t, got.Equal(c.event), name)
	}
	got, err := e.ReadHeaders(event(t, "1", "ok").WithDataSchema("https://elsewhere.example.com/1"), own)
	require.NoError(t, err)
	assert.Equal(t, base+"/guids/"+version(t, m, "orders", 2).GUID, got.DataSchema())
}

// hostile is what may be in front of data.
var hostile = map[string]string{
	"\x00": "ends within the prefix", "\x00\x00\x00\x00": "ends within the prefix", "\x00\x00\x00\x00\x00": "a number that no schema has",
	"\x00\xff\xff\xff\xff": "a number that no schema has", "\x00\x80\x00\x00\x00x": "a number that no schema has",
	"\x03\x00" + strings.Repeat("g", 16):       "the prefix of AWS Glue",
	"\x03\x05" + strings.Repeat("g", 16) + "z": "the prefix of AWS Glue",
}

// places are what may be behind the prefix of Protobuf.
var places = map[string]string{
	"": "malformed", "\x80": "malformed", strings.Repeat("\xff", 20): "malformed", "\x02": "malformed", "\x02\x80": "malformed",
	"\x02\x02": "not the first one", "\x01\x00": "not the first one", "\x04\x00\x00": "not the first one",
	"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01": "not the first one", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": "not the first one",
	"\xa0\x9c\x01" + strings.Repeat("\x00", 10_000): "not the first one",
}

// readingPrefixes returns an Enforcer that reads the prefix, and the only schema that it knows.
func readingPrefixes(t testing.TB) (*schema.Enforcer, *schema.Schema) {
	t.Helper()
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{messages{}}})
	require.NoError(t, err)
	s, err := m.Register(t.Context(), "orders", schema.Definition{Format: "PROTOBUF", Text: "10"})
	require.NoError(t, err)
	o := schema.EnforcerOptions{Formats: []schema.Format{messages{}}, Base: base, Pins: pinned(1), ReadPrefix: true}
	e, err := schema.NewEnforcer(m, &o)
	require.NoError(t, err)
	return e, s
}

func TestHostileFrames(t *testing.T) {
	e, s := readingPrefixes(t)
	refused := func(data, want string) {
		t.Helper()
		_, err := handle(e, event(t, "1", data))
		assert.True(t, leat.IsRejected(err), "%.20q: %v", data, err)
		assert.ErrorContains(t, err, want)
	}
	for data, want := range hostile {
		refused(data, want)
	}
	for place, want := range places {
		refused(prefix(s.ID)+place, want)
		if place != "" {
			headers := header(t, s.GUID)
			headers[0].Value = append(headers[0].Value, place...)
			_, err := e.ReadHeaders(event(t, "1", "ok"), headers)
			hasCode(t, err, leat.CodeInvalid, want)
		}
	}
	for _, first := range []string{"\x00", "\x02\x00", "\x80\x00"} {
		got, err := handle(e, event(t, "1", prefix(s.ID)+first+"ok"))
		require.NoError(t, err)
		assert.Equal(t, "ok", got.DataString())
	}
	for value, want := range map[string]string{
		"": "has no GUID; it has 0 bytes", "\x00\x00\x00\x00\x01": "it has 5 bytes", "\x01" + strings.Repeat("x", 15): "it has 16 bytes",
		"\x02" + strings.Repeat("x", 16): "has no GUID", "\x01" + strings.Repeat("x", 16) + "\x00\x00": "too long; it has 19 bytes",
	} {
		_, err := e.ReadHeaders(event(t, "1", "ok"), []leat.Header{{Name: "__value_schema_id", Value: []byte(value)}})
		hasCode(t, err, leat.CodeInvalid, want)
	}
}

// FuzzFrames reads what hostile producers may write: nothing panics, and what is handled has lost
// its prefix and nothing else.
func FuzzFrames(f *testing.F) {
	e, s := readingPrefixes(f)
	for data := range hostile {
		f.Add([]byte(data), header(f, s.GUID)[0].Value)
	}
	for place := range places {
		f.Add([]byte(prefix(s.ID)+place), append(header(f, s.GUID)[0].Value, place...))
	}
	f.Add([]byte(prefix(s.ID)+"\x00ok"), []byte("\x01"))
	f.Fuzz(func(t *testing.T, data, value []byte) {
		got, err := handle(e, event(t, "1", string(data)))
		switch {
		case err != nil:
			assert.True(t, leat.IsRejected(err) || leat.IsPostponed(err), "%v", err)
		case len(data) > 0 && data[0] == 0:
			rest := strings.TrimPrefix(string(data), prefix(s.ID))
			assert.True(t, strings.HasSuffix(rest, got.DataString()) && len(rest) <= len(got.DataString())+20, "%q", got.DataString())
			assert.Equal(t, base+"/orders/versions/1", got.DataSchema())
		default:
			assert.Equal(t, string(data), got.DataString())
		}
		got, err = e.ReadHeaders(event(t, "1", "ok"), []leat.Header{{Name: "__value_schema_id", Value: value}})
		if err == nil && value != nil {
			require.NoError(t, got.Validate())
			assert.True(t, strings.HasPrefix(got.DataSchema(), base+"/guids/"))
		}
	})
}

// Data of numbers and GUIDs is converted as that of versions.
func TestConversionOfNumbers(t *testing.T) {
	m, err := schema.NewMemory(&schema.MemoryOptions{Formats: []schema.Format{converting{}}, Level: schema.None})
	require.NoError(t, err)
	for _, s := range []string{"10", "20"} {
		_, err := m.Register(t.Context(), "orders", text(s))
		require.NoError(t, err)
	}
	e, err := schema.NewEnforcer(m, &schema.EnforcerOptions{
		Formats: []schema.Format{converting{}}, Base: base, Pins: pinned(2), Trust: []string{"/test"}, ReadPrefix: true,
	})
	require.NoError(t, err)
	one := version(t, m, "orders", 1)
	for _, e1 := range []leat.Event{event(t, "1", prefix(one.ID)+"ok"), event(t, "1", "ok").WithDataSchema(base + "/guids/" + one.GUID)} {
		got, err := handle(e, e1)
		require.NoError(t, err)
		assert.Equal(t, "text/plainok", got.DataString())
		assert.Equal(t, base+"/orders/versions/2", got.DataSchema())
	}
}

// askedReader counts what it is asked for by number or GUID, and fails while it is down.
type askedReader struct {
	schema.Reader

	down  atomic.Bool
	calls atomic.Int64
}

func (r *askedReader) ByID(ctx context.Context, subject string, id int) (*schema.Schema, error) {
	r.calls.Add(1)
	if r.down.Load() {
		return nil, &leat.Error{Op: "find schema", Code: leat.CodeUnavailable, Err: errors.New("no connection")}
	}
	return r.Reader.ByID(ctx, subject, id)
}

func (r *askedReader) ByGUID(ctx context.Context, subject, guid string) (*schema.Schema, error) {
	r.calls.Add(1)
	if r.down.Load() {
		return nil, &leat.Error{Op: "find schema", Code: leat.CodeUnavailable, Err: errors.New("no connection")}
	}
	return r.Reader.ByGUID(ctx, subject, guid)
}

// A number is asked for once, and a registry that is down poisons nothing.
func TestNumbersAreAskedForOnce(t *testing.T) {
	m := orders(t)
	r := &askedReader{Reader: m}
	r.down.Store(true)
	e := newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(1), ReadPrefix: true})
	framed := event(t, "1", prefix(version(t, m, "orders", 2).ID)+"ok")
	_, err := handle(e, framed)
	assert.True(t, leat.IsPaused(err), "%v", err)
	r.down.Store(false)
	e = newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(1), ReadPrefix: true})
	r.calls.Store(0)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			got, err := handle(e, framed)
			assert.NoError(t, err)
			assert.Equal(t, "ok", got.DataString())
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, r.calls.Load())
}

// What Warm has loaded is found by its number and its GUID while the registry is down.
func TestWarmCoversNumbers(t *testing.T) {
	r := &askedReader{Reader: orders(t)}
	e := newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(2), ReadPrefix: true})
	require.NoError(t, e.Warm(t.Context()))
	r.down.Store(true)
	pin := version(t, r.Reader, "orders", 2)
	for _, own := range []leat.Event{event(t, "1", prefix(pin.ID)+"ok"), event(t, "1", "ok").WithDataSchema(base + "/guids/" + pin.GUID)} {
		got, err := handle(e, own)
		require.NoError(t, err)
		assert.Equal(t, "ok", got.DataString())
		assert.Equal(t, base+"/orders/versions/2", got.DataSchema())
	}
	assert.Zero(t, r.calls.Load())
}

// Whoever invents a GUID does not stop a Consumer that reads no headers.
func TestInventedGUIDs(t *testing.T) {
	r := &askedReader{Reader: orders(t)}
	r.down.Store(true)
	e := newEnforcer(t, r, &schema.EnforcerOptions{Pins: pinned(1)})
	_, err := handle(e, event(t, "1", "ok").WithDataSchema(base+"/guids/5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d"))
	assert.True(t, leat.IsPostponed(err), "%v", err)
	read, err := e.ReadHeaders(event(t, "1", "ok"), header(t, "6b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d"))
	require.NoError(t, err)
	_, err = handle(e, read)
	assert.True(t, leat.IsPaused(err), "%v", err)
}

// A number or a GUID that the files of a build do not have may be that of a newer version. So may
// an invented one, with which only what needs the writer's schema waits.
func TestNumbersNewerThanTheFiles(t *testing.T) {
	for _, c := range []struct {
		format schema.Format
		behind string // the prefix
		waits  bool
	}{{length{}, "", false}, {messages{}, "\x00", false}, {converting{}, "", true}} {
		t.Run(c.format.Name(), func(t *testing.T) {
			registry, err := schema.FromFS(files("orders/1.len", "10"), c.format)
			require.NoError(t, err)
			e, err := schema.NewEnforcer(registry, &schema.EnforcerOptions{
				Formats: []schema.Format{c.format}, Base: base, Pins: pinned(1), ReadPrefix: true,
			})
			require.NoError(t, err)
			unknown := base + "/guids/5b1ea4bf-6b8d-4a5a-8e2c-0d4f5a1b2c3d"
			for dataschema, own := range map[string]leat.Event{
				"": event(t, "1", prefix(7)+c.behind+"ok"), unknown: event(t, "1", "ok").WithDataSchema(unknown),
			} {
				got, err := handle(e, own)
				if c.waits {
					assert.True(t, leat.IsPostponed(err), "%v", err)
					assert.ErrorContains(t, err, "if it is newer than the files, update them")
					continue
				}
				require.NoError(t, err)
				assert.Equal(t, "ok", got.DataString())
				assert.Equal(t, dataschema, got.DataSchema())
			}
		})
	}
}

// Only what ReadPrefix reads back gets a prefix.
func TestPrefixOfPinsOnly(t *testing.T) {
	e := newEnforcer(t, orders(t), &schema.EnforcerOptions{Pins: pinned(1), WritePrefix: true})
	unpinned := event(t, "1", "ok").WithType("other").WithDataSchema(base + "/orders/versions/1")
	foreign := event(t, "2", "ok").WithDataSchema("https://elsewhere.example.com/1")
	sent, outcomes := publish(t, e, unpinned, foreign)
	require.Equal(t, []error{nil, nil}, outcomes)
	assert.True(t, sent[0].Equal(unpinned))
	assert.Empty(t, sent[1].DataSchema())
}

// A registry without numbers or GUIDs cannot name schemas by them.
func TestRegistryWithoutNumbers(t *testing.T) {
	m := orders(t)
	bare := readerFunc(func(r schema.Ref) (*schema.Schema, error) {
		s, err := m.ByRef(context.Background(), r)
		if err != nil {
			return nil, err
		}
		return &schema.Schema{Ref: s.Ref, Definition: s.Definition}, nil
	})
	_, outcomes := publish(t, newEnforcer(t, bare, &schema.EnforcerOptions{Pins: pinned(1), WritePrefix: true}), event(t, "1", "ok"))
	hasCode(t, outcomes[0], leat.CodeUnsupported, "the registry gives no number")
	e := newEnforcer(t, bare, &schema.EnforcerOptions{Pins: pinned(1)})
	require.NoError(t, e.Warm(t.Context()))
	_, err := e.WriteHeaders(event(t, "1", "ok"))
	hasCode(t, err, leat.CodeUnsupported, "the registry gives no GUID of schema orders/1; use WritePrefix")
}
