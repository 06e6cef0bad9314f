module github.com/leatgo/leat/benchmarks/schema

go 1.26.0

replace (
	github.com/leatgo/leat => ../..
	github.com/leatgo/leat/benchmarks => ..
	github.com/leatgo/leat/schema/avro => ../../schema/avro
	github.com/leatgo/leat/schema/jsonschema => ../../schema/jsonschema
	github.com/leatgo/leat/schema/protobuf => ../../schema/protobuf
)

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/leatgo/leat v0.0.0
	github.com/leatgo/leat/benchmarks v0.0.0
	github.com/leatgo/leat/schema/avro v0.0.0
	github.com/leatgo/leat/schema/jsonschema v0.0.0
	github.com/leatgo/leat/schema/protobuf v0.0.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/twmb/avro v1.9.1
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)
