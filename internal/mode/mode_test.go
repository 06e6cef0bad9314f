package mode_test

import (
	"testing"

	"github.com/leatgo/leat/internal/mode"
	"github.com/stretchr/testify/assert"
)

func TestOnlyASCIIHasCase(t *testing.T) {
	assert.Equal(t, "ce_k\u212a\xff", mode.Lower("CE_K\u212a\xff"))
	assert.True(t, mode.HasPrefix("CE_id", "ce_"))
	assert.True(t, mode.HasPrefix([]byte("Content-Type"), "content-type"))
	assert.False(t, mode.HasPrefix("\u212aey", "k"))
	assert.False(t, mode.HasPrefix("ce", "ce_"))
}

func TestIsJSON(t *testing.T) {
	for _, contentType := range []string{
		"application/cloudevents", "application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8", " application/cloudevents ;x=y",
	} {
		assert.True(t, mode.IsJSON(contentType), contentType)
	}
	for _, contentType := range []string{"", "application/json", "application/cloudevents+avro", "application/cloudevents-batch+json"} {
		assert.False(t, mode.IsJSON(contentType), contentType)
	}
}

func TestIsCompressed(t *testing.T) {
	for _, encoding := range []string{"gzip", "GZIP", "gzip:UTF-8", " br , gzip", "snappy"} {
		assert.True(t, mode.IsCompressed(encoding), encoding)
	}
	for _, encoding := range []string{"", "utf-8", "identity", "UTF-8,gzip", "gzipped"} {
		assert.False(t, mode.IsCompressed(encoding), encoding)
	}
}
