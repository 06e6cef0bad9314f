module github.com/leatgo/leat/schema/confluent/internal/interop

go 1.26.0

require (
	github.com/leatgo/leat v0.0.0
	github.com/leatgo/leat/adapters/kafka v0.0.0
	github.com/leatgo/leat/schema/avro v0.0.0
	github.com/leatgo/leat/schema/confluent v0.0.0
	github.com/leatgo/leat/schema/jsonschema v0.0.0
	github.com/leatgo/leat/schema/protobuf v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require (
	github.com/bufbuild/protocompile v0.14.1 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	github.com/twmb/avro v1.9.1 // indirect
	github.com/twmb/franz-go v1.22.2 // indirect
	github.com/twmb/franz-go/pkg/kadm v1.19.0 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
	github.com/twmb/franz-go/pkg/sr v1.8.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace (
	github.com/leatgo/leat => ../../../..
	github.com/leatgo/leat/adapters/kafka => ../../../../adapters/kafka
	github.com/leatgo/leat/schema/avro => ../../../avro
	github.com/leatgo/leat/schema/confluent => ../..
	github.com/leatgo/leat/schema/jsonschema => ../../../jsonschema
	github.com/leatgo/leat/schema/protobuf => ../../../protobuf
)
