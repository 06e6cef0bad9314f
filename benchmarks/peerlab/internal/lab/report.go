package lab

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/leatgo/leat/benchmarks/peerlab/internal/party"
	"github.com/leatgo/leat/benchmarks/peerlab/internal/scenario"
)

func verdict(r scenario.Result) string {
	if r.Held {
		return "holds"
	}
	return "**fails**"
}

// writeReport writes the parties, a table that compares them, and one for each scenario.
func writeReport(w *bytes.Buffer, o Options, outcomes []Outcome) {
	fmt.Fprintf(w, "## Results\n\nSeen with\n\n- %s, %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if len(outcomes) > 0 {
		fmt.Fprintf(w, "- RabbitMQ %s, a private node for each scenario and party\n", outcomes[0].Broker)
	}
	writeVersions(w)
	if o.Short {
		fmt.Fprint(w, "- fewer repetitions (`-short`)\n")
	}
	fmt.Fprint(w, "\n### Parties\n\n| party | configured |\n|---|---|\n")
	var shown []party.Party
	for _, p := range party.All() {
		if slices.ContainsFunc(outcomes, func(r Outcome) bool { return r.Party == p.Name }) {
			fmt.Fprintf(w, "| %s | %s |\n", p.Title, p.How)
			shown = append(shown, p)
		}
	}
	fmt.Fprint(w, "\n### Summary\n\n| scenario |")
	for _, p := range shown {
		fmt.Fprintf(w, " %s |", p.Title)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(shown)))
	for _, s := range scenario.All() {
		rows := of(outcomes, s)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "| %s |", s.Title)
		for _, p := range shown {
			cell := ""
			for _, r := range rows {
				if r.Party == p.Name {
					cell = verdict(r.Result)
				}
			}
			fmt.Fprintf(w, " %s |", cell)
		}
		fmt.Fprintln(w)
	}
	for _, s := range scenario.All() {
		writeScenario(w, s, of(outcomes, s))
	}
	fmt.Fprintln(w)
}

// of returns the outcomes of a scenario.
func of(outcomes []Outcome, s scenario.Scenario) []Outcome {
	return slices.DeleteFunc(slices.Clone(outcomes), func(r Outcome) bool { return r.Scenario != s.Name })
}

func writeScenario(w *bytes.Buffer, s scenario.Scenario, rows []Outcome) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n### %s\n\n%s (`-scenario %s`)\n\n| party | | seen |\n|---|---|---|\n", s.Title, s.What, s.Name)
	for _, r := range rows {
		title := r.Party
		for _, p := range party.All() {
			if p.Name == r.Party {
				title = p.Title
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", title, verdict(r.Result), r.Seen)
	}
}

// writeVersions writes the versions of the libraries.
func writeVersions(w *bytes.Buffer) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, path := range []string{
		"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-amqp/v3", "gocloud.dev", "gocloud.dev/pubsub/rabbitpubsub",
		"github.com/rabbitmq/amqp091-go",
	} {
		for _, dep := range info.Deps {
			if dep.Path == path {
				fmt.Fprintf(w, "- %s %s\n", dep.Path, dep.Version)
			}
		}
	}
}
