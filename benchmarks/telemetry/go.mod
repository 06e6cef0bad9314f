module github.com/leatgo/leat/benchmarks/telemetry

go 1.26.0

replace (
	github.com/leatgo/leat => ../..
	github.com/leatgo/leat/adapters/kafka => ../../adapters/kafka
	github.com/leatgo/leat/adapters/rabbitmq => ../../adapters/rabbitmq
	github.com/leatgo/leat/adapters/watermill => ../../adapters/watermill
	github.com/leatgo/leat/benchmarks => ..
	github.com/leatgo/leat/middleware/otel => ../../middleware/otel
	github.com/leatgo/leat/middleware/prometheus => ../../middleware/prometheus
)

require (
	github.com/ThreeDotsLabs/watermill v1.5.2
	github.com/leatgo/leat v0.0.0
	github.com/leatgo/leat/adapters/kafka v0.0.0
	github.com/leatgo/leat/adapters/rabbitmq v0.0.0
	github.com/leatgo/leat/benchmarks v0.0.0
	github.com/leatgo/leat/middleware/otel v0.0.0
	github.com/leatgo/leat/middleware/prometheus v0.0.0
	github.com/prometheus/client_golang v1.25.0
	github.com/twmb/franz-go v1.22.2
	github.com/twmb/franz-go/pkg/kadm v1.19.0
	github.com/twmb/franz-go/plugin/kotel v1.7.1
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/metric v1.47.0
	go.opentelemetry.io/otel/sdk v1.47.0
	go.opentelemetry.io/otel/sdk/metric v1.47.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-chi/chi/v5 v5.2.5 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/lithammer/shortuuid/v3 v3.0.7 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/oklog/ulid v1.3.1 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rabbitmq/amqp091-go v1.16.0 // indirect
	github.com/sony/gobreaker v1.0.0 // indirect
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
