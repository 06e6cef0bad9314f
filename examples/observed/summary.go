package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// shown are the metrics of the summary, in their order.
var shown = []string{
	"leat_publish_outcomes_total", "leat_consumer_handled_total", "leat_consumer_skipped_total", "leat_consumer_retries_total",
	"leat_consumer_poisoned_total", "leat_poison_lag", "leat_consumer_lag",
}

// sumUp prints the metrics that say what became of the deliveries.
func sumUp(out io.Writer, registry prometheus.Gatherer) error {
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	for _, name := range shown {
		for _, m := range byName[name].GetMetric() {
			if value := m.GetCounter().GetValue() + m.GetGauge().GetValue(); value > 0 {
				_, _ = fmt.Fprintf(out, "%-32s %6.0f  %s\n", name, value, labels(m))
			}
		}
	}
	return nil
}

// labels returns the labels that tell series apart.
func labels(m *dto.Metric) string {
	var all []string
	for _, l := range m.GetLabel() {
		if n := l.GetName(); n != "messaging_system" && n != "messaging_destination_name" {
			all = append(all, l.GetValue())
		}
	}
	return strings.Join(all, " ")
}
