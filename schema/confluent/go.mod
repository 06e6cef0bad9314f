module github.com/leatgo/leat/schema/confluent

go 1.26.0

require (
	github.com/leatgo/leat v0.0.0
	github.com/leatgo/leat/schema/jsonschema v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/twmb/franz-go/pkg/sr v1.8.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/leatgo/leat => ../..
	github.com/leatgo/leat/schema/jsonschema => ../jsonschema
)
