package scenario

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	amqp "github.com/rabbitmq/amqp091-go"
)

func unroutable() Scenario {
	return Scenario{
		Name: "unroutable", Title: "Unroutable publish reported as stored",
		What: "The queue is deleted, the exchange stays, and ten messages are published. None may be said to be published.",
		run: func(ctx context.Context, e *env) (Result, error) {
			t := e.target()
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			if err := e.node.DeleteQueue(ctx, "/", t.Queue); err != nil {
				return Result{}, err
			}
			ok := 0
			for i := range 10 {
				if tell(ctx, p, 2*time.Second, strconv.Itoa(i)) == nil {
					ok++
				}
			}
			return Result{Held: ok == 0, Seen: fmt.Sprintf("%d of 10 said to be published, 0 stored", ok)}, nil
		},
	}
}

func rejecting() Scenario {
	return Scenario{
		Name: "full", Title: "Broker's refusal reported as stored",
		What: "The queue takes one message and refuses more (`x-max-length` 1, `reject-publish`). 20 are published. No more may be said to be " +
			"published than are there.",
		run: func(ctx context.Context, e *env) (Result, error) {
			t := e.target()
			t.Arguments = amqp.Table{"x-max-length": int64(1), "x-overflow": "reject-publish"}
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			ok := newLedger()
			for i := range 20 {
				id := strconv.Itoa(i)
				if tell(ctx, p, 2*time.Second, id) == nil {
					ok.add(id)
				}
			}
			return reported(ctx, t, ok)
		},
	}
}

// reported compares what was said to be published with what is there.
func reported(ctx context.Context, t party.Target, ok *ledger) (Result, error) {
	found, err := stored(ctx, t.URL, t.Queue)
	if err != nil {
		return Result{}, err
	}
	lost := ok.missing(found)
	return Result{Held: lost == 0, Seen: fmt.Sprintf("%d said to be published, %d stored", ok.len(), len(found))}, nil
}

func batch() Scenario {
	return Scenario{
		Name: "batch", Title: "One bad message of a batch",
		What: "Three messages are published together, of which the second cannot be encoded. None may be said to be published that is not " +
			"stored.",
		Parties: []string{"watermill-safe", "watermill-tx", "gocloud-safe", "leat"},
		run: func(ctx context.Context, e *env) (Result, error) {
			t := e.target()
			p, err := e.open(ctx, t)
			if err != nil {
				return Result{}, err
			}
			ids := []string{"first", party.Broken, "third"}
			errs, hung := publish(ctx, p, 5*time.Second, time.Second, ids...)
			if hung {
				return Result{Seen: "Publish did not return"}, nil
			}
			found, err := stored(ctx, t.URL, t.Queue)
			if err != nil {
				return Result{}, err
			}
			var said, kept []string
			lies := 0
			for i, id := range ids {
				if errs[i] == nil {
					said = append(said, id)
				}
				if found[id] > 0 {
					kept = append(kept, id)
				}
				if errs[i] == nil && found[id] == 0 {
					lies++
				}
			}
			return Result{
				Held: lies == 0,
				Seen: fmt.Sprintf("said to be published: %s; stored: %s", list(said), list(kept)),
			}, nil
		},
	}
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, " and ")
}
