package options_test

import (
	"net/url"
	"testing"

	"github.com/leatgo/leat/adapterkit/options"
	"github.com/leatgo/leat/foreign"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMapping(t *testing.T) {
	event := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`)
	for value, want := range map[string]string{
		"lenient": "1", "structured": "1", "plain": "o/1", "plain,structured": "o/1", "structured,plain": "1", "lenient,plain": "1",
	} {
		p := options.NewReader(&url.URL{RawQuery: url.Values{"mapping": {value}}.Encode()})
		e, err := p.Mapping("mapping").Event(foreign.Message{Topic: "o", ID: "o/1", Body: event, Err: foreign.ErrPlain})
		require.NoError(t, err, value)
		require.NoError(t, p.Err(), value)
		assert.Equal(t, want, e.ID(), value)
	}
	for _, value := range []string{"", "strict", "plain,", "plain,plain", "Plain"} {
		p := options.NewReader(&url.URL{RawQuery: url.Values{"mapping": {value}}.Encode()})
		assert.Nil(t, p.Mapping("mapping"), value)
		require.ErrorContains(t, p.Err(), "lenient, plain, structured", value)
	}
	p := options.NewReader(&url.URL{})
	assert.Nil(t, p.Mapping("mapping"))
	require.NoError(t, p.Err())
}
