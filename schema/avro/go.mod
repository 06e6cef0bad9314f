module github.com/leatgo/leat/schema/avro

go 1.26.0

require github.com/leatgo/leat v0.0.0

require (
	github.com/stretchr/testify v1.12.1
	github.com/twmb/avro v1.9.1
	go.uber.org/goleak v1.3.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/leatgo/leat => ../..
