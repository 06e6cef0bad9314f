package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// compressions are the codecs by name.
var compressions = map[string]func() kgo.CompressionCodec{
	"none": kgo.NoCompression, "gzip": kgo.GzipCompression, "snappy": kgo.SnappyCompression, "lz4": kgo.Lz4Compression,
	"zstd": kgo.ZstdCompression,
}
