module github.com/leatgo/leat/schema/protobuf

go 1.26.0

require (
	github.com/bufbuild/protocompile v0.14.1
	github.com/leatgo/leat v0.0.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
	google.golang.org/protobuf v1.36.12
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.8.0 // indirect
)

replace github.com/leatgo/leat => ../..
