// Package health answers the questions of an orchestrator over HTTP: whether a process has to be
// restarted, and whether its consumers work.
//
//	mux.Handle("/", health.Handler(billing, shipping))
package health

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/leatgo/leat"
)

// Handler returns a handler of GET and HEAD for two paths, about the consumers of one [leat.Run]:
//
//   - /livez is 503 when Run has ended with an error, which only a restart mends, and 200
//     otherwise. An outage of the broker does not fail it: restarts would only add dials and
//     rebalances.
//   - /readyz is 200 while every consumer is healthy, paused or degraded, and 503 while one is
//     starting, stalled or stopped. Roll-outs wait for it. Without consumers it is 200.
//
// The body of both is JSON: the worst state, and for each consumer its topic, its group and its
// [leat.Health]. It has no payload and no secret. Nil consumers are left out.
func Handler(consumers ...*leat.Consumer) http.Handler {
	consumers = slices.DeleteFunc(slices.Clone(consumers), func(c *leat.Consumer) bool { return c == nil })
	h := handler{consumers: consumers, subscriptions: leat.Describe(consumers).Consumes}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, live) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, ready) })
	return mux
}

// live reports whether a restart would not help.
func live(h leat.Health) bool { return h.State != leat.Stopped || len(h.Problems) == 0 }

// ready reports whether the consumer works.
func ready(h leat.Health) bool { return h.State < leat.Starting }

type handler struct {
	consumers     []*leat.Consumer
	subscriptions []leat.ConsumerInfo
}

// report is the body.
type report struct {
	State     string           `json:"state"`
	Consumers []consumerReport `json:"consumers"`
}

type consumerReport struct {
	Topic  string      `json:"topic"`
	Group  string      `json:"group,omitempty"`
	Health leat.Health `json:"health"`
}

// answer writes the report, with a status that says whether all consumers are well.
func (h *handler) answer(w http.ResponseWriter, well func(leat.Health) bool) {
	status, worst := http.StatusOK, leat.Healthy
	body := report{Consumers: []consumerReport{}}
	for i, c := range h.consumers {
		sub, is := h.subscriptions[i].Subscription, c.Health()
		worst = max(worst, is.State)
		if !well(is) {
			status = http.StatusServiceUnavailable
		}
		body.Consumers = append(body.Consumers, consumerReport{sub.Topic, sub.Group, is})
	}
	body.State = worst.String()
	text, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		http.Error(w, "the health cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // of a client that is gone nobody needs to know
}
