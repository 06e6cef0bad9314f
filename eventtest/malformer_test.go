package eventtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/eventtest"
	"github.com/stretchr/testify/assert"
)

// textHarness is a harness whose broker carries text only, and no message without a body, as SQS
// does.
type textHarness struct{ *memoryHarness }

func (h textHarness) Inject(ctx context.Context, topic string, m leat.Malformed) error {
	if len(m.Body) == 0 || !isTextOfXML(m.Body) || !isTextOfXML(m.Key) {
		return fmt.Errorf("the broker does not take the body %.40q with the key %q", m.Body, m.Key)
	}
	for _, header := range m.Headers {
		if len(header.Value) == 0 || !isTextOfXML(header.Value) {
			return fmt.Errorf("the broker does not take the header %s: %.40q", header.Name, header.Value)
		}
	}
	return h.memoryHarness.Inject(ctx, topic, m)
}

// isTextOfXML reports whether b is UTF-8 with the characters of XML 1.0.
func isTextOfXML(b []byte) bool {
	for _, r := range string(b) {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			return false
		}
	}
	return utf8.Valid(b)
}

// textMalformer also says what is malformed there.
type textMalformer struct{ textHarness }

var _ eventtest.Malformer = textMalformer{}

func (textMalformer) Malformed(n int) leat.Malformed {
	return leat.Malformed{
		Headers: []leat.Header{{Name: "n", Value: fmt.Append(nil, n)}}, Key: []byte("k"), Body: fmt.Appendf(nil, "not an event: %d. ", n),
	}
}

// TestMalformer: the suite injects nothing that a broker cannot carry where the harness says what
// it can.
func TestMalformer(t *testing.T) {
	report := eventtest.TestAdapter(t, textMalformer{textHarness{newMemoryHarness()}}, &eventtest.Options{Only: needing(eventtest.NeedInject)})
	for _, result := range report.Results {
		assert.Equal(t, eventtest.Passed, result.Status, result.Case)
	}
}

// TestWithoutMalformer: the same cases need it there.
func TestWithoutMalformer(t *testing.T) {
	report := eventtest.Check(textHarness{newMemoryHarness()}, &eventtest.Options{
		Only: []string{"malformed", "whole-malformed-poisoned-once", "whole-poison-what-does-not-fit"}, Patience: 2 * time.Second,
	})
	assert.Len(t, report.Failed(), 3)
}

// TestMalformerWithoutBody: what the suite cannot tell apart it does not run on.
func TestMalformerWithoutBody(t *testing.T) {
	report := eventtest.Check(bodyless{textMalformer{textHarness{newMemoryHarness()}}}, &eventtest.Options{Only: []string{"malformed"}})
	assert.Equal(t, []string{"malformed"}, report.Failed())
	assert.Contains(t, fmt.Sprint(report.Results[0].Seen), "Malformer")
}

type bodyless struct{ textMalformer }

func (bodyless) Malformed(int) leat.Malformed { return leat.Malformed{} }
