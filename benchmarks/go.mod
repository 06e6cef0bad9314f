module github.com/leatgo/leat/benchmarks

go 1.26.0

replace (
	github.com/leatgo/leat => ../
	github.com/leatgo/leat/adapters/watermill => ../adapters/watermill
)

require (
	github.com/ThreeDotsLabs/watermill v1.5.2
	github.com/cloudevents/sdk-go/v2 v2.16.2
	github.com/leatgo/leat v0.0.0
	github.com/leatgo/leat/adapters/watermill v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sony/gobreaker v1.0.0 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)
