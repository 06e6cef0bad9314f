package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"

	"github.com/leatgo/leat"
	"github.com/leatgo/leat/examples/webhooks/deliveries"
)

const (
	topic          = "webhooks"
	publishTimeout = 5 * time.Second
)

// services are the handlers by their group.
var services = map[string]func() leat.Handler{
	"issues": func() leat.Handler {
		return leat.NewRouter(
			leat.EventType[issueEvent]{Name: "com.github.issues", Topic: topic}.Handler(followIssue),
			leat.EventType[json.RawMessage]{Name: "com.github.pull_request", Topic: topic}.Handler(
				func(context.Context, leat.Event, json.RawMessage) error {
					return leat.Reject(errors.New("this desk takes no pull requests"))
				}),
		)
	},
	"audit": func() leat.Handler {
		return leat.HandlerFunc(func(context.Context, leat.Event) error {
			time.Sleep(2 * time.Millisecond) // it writes somewhere
			return nil
		})
	},
}

// issueEvent is what the desk reads of a delivery about an issue.
type issueEvent struct {
	Action string `json:"action"`
}

// followIssue fails at the first attempt for those that are opened, as what calls another service
// does now and then.
func followIssue(ctx context.Context, _ leat.Event, i issueEvent) error {
	if info, _ := leat.InfoFrom(ctx); i.Action == "opened" && info.Attempt == 1 {
		return fmt.Errorf("the search does not answer: %w", context.DeadlineExceeded)
	}
	return nil
}

// publish publishes the deliveries again and again, at a rate a second, until ctx ends. What the
// broker does not take is in the metrics and in the health of p.
func publish(ctx context.Context, p *leat.Producer, rate int) error {
	files, err := fs.Glob(deliveries.Files, "*/*.json")
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		name := files[i%len(files)]
		body, err := fs.ReadFile(deliveries.Files, name)
		if err != nil {
			return err
		}
		e, err := leat.NewEvent("com.github."+path.Dir(name), &leat.EventOptions{
			ID: fmt.Sprintf("%s-%d", name, i), Key: strconv.Itoa(i % 100), Data: body, DataContentType: "application/json",
		})
		if err != nil {
			return err
		}
		attempt, cancel := context.WithTimeout(ctx, publishTimeout)
		_ = p.Publish(attempt, topic, e)
		cancel()
	}
}
