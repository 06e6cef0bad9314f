package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatgo/leat/poison"
)

// poison shows or replays the events that a service could not handle. It may run beside the
// service.
func (a *app) poison(ctx context.Context, verb, service string) error {
	sub := subscriptions[service]
	switch verb {
	case "ls":
		for e, err := range poison.Peek(ctx, a.broker, sub, nil) {
			if err != nil {
				return err
			}
			fmt.Printf("%s  %s  %s  attempts %d: %v\n", e.At.Format("15:04:05"), e.Event.Type(), e.Event.ID(), e.Info.Attempt, e.Reason)
		}
		return nil
	case "replay":
		result, err := poison.Replay(ctx, a.broker, sub, a.handler(service), nil)
		fmt.Printf("%d handled, %d failed again, %d left\n", result.Replayed, result.Failed, result.Left)
		return err
	}
	return errors.New(usage)
}
