package main

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/leatgo/leat/internal/brokertest"
	"github.com/stretchr/testify/require"
)

func Example_main() {
	main()
	// Output:
	// com.example.order.placed.v1 from /legacy/shop, customer/ann, key "ann": order A-17 of 1250 cents
	// com.example.order.placed.v1 from /legacy/shop, customer/ann, key "ann": order A-18 of 300 cents
	// the older program reads {"order":"A-17","cents":1250}
	// the older program reads {"order":"A-18","cents":300}
}

// suffix is for brokers that others use as well.
func suffix() string { return fmt.Sprintf("-%d", time.Now().UnixNano()) }

func TestKafka(t *testing.T) {
	c := config{kafka: brokertest.Kafka(t)[0], suffix: suffix()}
	require.NoError(t, c.run(t.Context()))
}

func TestRabbitMQ(t *testing.T) {
	u, err := url.Parse(brokertest.RabbitMQ(t))
	require.NoError(t, err)
	c := config{rabbitmq: u.Host, suffix: suffix()}
	require.NoError(t, c.run(t.Context()))
}

func TestNATS(t *testing.T) {
	c := config{nats: brokertest.NATS(t)[0], suffix: suffix()}
	require.NoError(t, c.run(t.Context()))
}
