package wire_test

import (
	"math"
	"testing"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/adapterkit/wire"
	"github.com/stretchr/testify/assert"
)

func TestSortedText(t *testing.T) {
	t.Parallel()
	var names, texts []string
	headers := wire.Sorted([]leat.Header{{Name: "first"}}, map[string]any{
		"b": nil, "a": "text", "c": int64(5), "d": []byte{0xff},
		"e": map[string]any{"k": []any{int8(1), "x", time.Unix(0, 0).UTC()}},
		"f": 1.5, "g": []any{math.NaN()}, "h": time.Unix(1, 0), "i": true, "j": "", "k": uint16(7),
	}, wire.Text)
	for _, h := range headers {
		names, texts = append(names, h.Name), append(texts, string(h.Value))
	}
	assert.Equal(t, []string{"first", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}, names)
	assert.Equal(t, []string{
		"", "text", "", "5", "\xff", `{"k":[1,"x","1970-01-01T00:00:00Z"]}`, "1.5", "[NaN]",
		"1970-01-01T00:00:01Z", "true", "", "7",
	}, texts)
	assert.Nil(t, headers[2].Value, "null")
	assert.NotNil(t, headers[10].Value, "empty")
}

func TestFind(t *testing.T) {
	t.Parallel()
	headers := []leat.Header{
		{Name: "content-type2"}, {Name: "Content-Type", Value: []byte("a")},
		{Name: "content-type", Value: []byte("b")},
	}
	assert.Equal(t, "a", wire.Find(headers, "content-type"))
	assert.Empty(t, wire.Find(headers, "other"))
}

// TestHeaderNames: in order, with one allocation, and none where there is no header. It is not
// parallel, since it counts allocations.
func TestHeaderNames(t *testing.T) {
	headers := map[string]int{"c": 1, "a": 2, "b": 3}
	assert.Equal(t, []string{"a", "b", "c"}, wire.Names(headers))
	assert.InDelta(t, 1, testing.AllocsPerRun(10, func() { wire.Names(headers) }), 0)
	assert.Zero(t, testing.AllocsPerRun(10, func() { wire.Names(map[string]int(nil)) }))
}
