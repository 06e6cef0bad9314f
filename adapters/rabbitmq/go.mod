module github.com/leatgo/leat/adapters/rabbitmq

go 1.26.0

require (
	github.com/leatgo/leat v0.0.0
	github.com/rabbitmq/amqp091-go v1.16.0
)

replace github.com/leatgo/leat => ../..
