package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

// before is the service as it is: a Router on gochannel.
func before(ctx context.Context, s *shop) error {
	pubSub := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	return errors.Join(route(ctx, s, pubSub, pubSub, true), pubSub.Close())
}

// route runs the Router, publishes the orders, and stops when all are shipped. Nothing in it
// changes from before to step 1.
func route(ctx context.Context, s *shop, pub message.Publisher, sub message.Subscriber, ships bool) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	retry := middleware.Retry{MaxRetries: 3, InitialInterval: time.Millisecond}
	router.AddMiddleware(retry.Middleware)
	router.AddHandler("charge", placedTopic, sub, paidTopic, pub, func(m *message.Message) ([]*message.Message, error) {
		var o Order
		if err := json.Unmarshal(m.Payload, &o); err != nil {
			return nil, err
		}
		if err := s.charge(o); err != nil {
			return nil, err
		}
		return message.Messages{message.NewMessage(watermill.NewUUID(), m.Payload)}, nil
	})
	if ships {
		router.AddConsumerHandler("ship", paidTopic, sub, func(m *message.Message) error {
			var o Order
			if err := json.Unmarshal(m.Payload, &o); err != nil {
				return err
			}
			return s.ship(o)
		})
	}
	ran := make(chan error, 1)
	go func() { ran <- router.Run(ctx) }()
	select {
	case <-router.Running():
	case err := <-ran:
		return err
	}
	err = place(s, pub)
	if err == nil {
		err = s.wait(ctx)
	}
	return errors.Join(err, router.Close(), <-ran)
}

// place publishes the orders.
func place(s *shop, pub message.Publisher) error {
	for _, o := range s.orders {
		payload, err := json.Marshal(o)
		if err != nil {
			return err
		}
		if err := pub.Publish(placedTopic, message.NewMessage(watermill.NewUUID(), payload)); err != nil {
			return err
		}
	}
	return nil
}
