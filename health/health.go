// Package health answers the questions of an orchestrator over HTTP: whether a process has to be
// restarted, and whether its consumers and producers work.
//
//	mux.Handle("/", health.Handler(consumers, producer))
package health

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/leatgo/leat"
)

// Handler returns a handler of GET and HEAD for two paths, about the consumers of one [leat.Run]
// and the producers of the program:
//
//   - /livez is 503 when Run has ended with an error, which only a restart mends, and 200
//     otherwise. An outage of the broker does not fail it: restarts would only add dials and
//     rebalances. Producers never fail it.
//   - /readyz is 200 while every consumer and producer is healthy, paused or degraded, and 503
//     while one is starting, stalled or stopped. Roll-outs wait for it. Without any it is 200.
//
// The body of both is JSON: the worst state, for each consumer its topic, its group and its
// [leat.Health], and for each producer its [leat.Health]. It has no payload and no secret. Nil
// consumers and producers are left out.
func Handler(consumers []*leat.Consumer, producers ...*leat.Producer) http.Handler {
	consumers = slices.DeleteFunc(slices.Clone(consumers), func(c *leat.Consumer) bool { return c == nil })
	producers = slices.DeleteFunc(slices.Clone(producers), func(p *leat.Producer) bool { return p == nil })
	h := handler{consumers: consumers, subscriptions: leat.Describe(consumers).Consumes, producers: producers}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, false) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, true) })
	return mux
}

// live reports whether a restart would not help a consumer.
func live(h leat.Health) bool { return h.State != leat.Stopped || len(h.Problems) == 0 }

// ready reports whether a consumer or a producer works.
func ready(h leat.Health) bool { return h.State < leat.Starting }

type handler struct {
	consumers     []*leat.Consumer
	subscriptions []leat.ConsumerInfo
	producers     []*leat.Producer
}

// report is the body.
type report struct {
	State     string           `json:"state"`
	Consumers []consumerReport `json:"consumers"`
	Producers []producerReport `json:"producers"`
}

type consumerReport struct {
	Topic  string      `json:"topic"`
	Group  string      `json:"group,omitempty"`
	Health leat.Health `json:"health"`
}

type producerReport struct {
	Health leat.Health `json:"health"`
}

// answer writes the report, with a status that says whether all is ready, or else live.
func (h *handler) answer(w http.ResponseWriter, readiness bool) {
	worst, well := leat.Healthy, true
	body := report{Consumers: []consumerReport{}, Producers: []producerReport{}}
	for i, c := range h.consumers {
		sub, is := h.subscriptions[i].Subscription, c.Health()
		worst = max(worst, is.State)
		well = well && (readiness && ready(is) || !readiness && live(is))
		body.Consumers = append(body.Consumers, consumerReport{sub.Topic, sub.Group, is})
	}
	for _, p := range h.producers {
		is := p.Health()
		worst = max(worst, is.State)
		well = well && (!readiness || ready(is))
		body.Producers = append(body.Producers, producerReport{is})
	}
	status := http.StatusOK
	if !well {
		status = http.StatusServiceUnavailable
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
