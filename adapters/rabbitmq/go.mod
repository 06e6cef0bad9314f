module github.com/leatgo/leat/adapters/rabbitmq

go 1.26.0

require (
	github.com/leatgo/leat v0.0.0
	github.com/rabbitmq/amqp091-go v1.16.0
	github.com/stretchr/testify v1.12.1
	go.uber.org/goleak v1.3.0
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/leatgo/leat => ../..
