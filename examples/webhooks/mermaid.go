package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/leatgo/leat"
)

// flow is the run as a Mermaid flowchart, which GitHub and many editors draw.
func (r *report) flow() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	confirmed := r.account.count(outcomeOK)
	line("flowchart LR")
	line(`  deliveries["GitHub deliveries"] --> producer["producer"]`)
	line(`  producer -->|"%d events"| topic[("%s on %s")]`, confirmed, label(r.cfg.topic), label(r.cfg.brokerName()))
	line(`  reader["poison reader"]`)
	for _, name := range serviceNames() {
		s := r.account.services[name]
		line(`  topic -->|"%d"| %s["%s: %d handled, %d skipped"]`, len(s.first), name, name, s.handled, s.skipped)
		if s.retried > 0 {
			line(`  %s -->|"%d retries"| %s`, name, s.retried, name)
		}
		if s.poisoned > 0 {
			line(`  %s -.->|"%d"| %s_poison[("%s")]`, name, s.poisoned, name, label(leat.PoisonTopic(r.cfg.topic, name)))
			line(`  %s_poison -.-> reader`, name)
		}
	}
	return b.String()
}

// label makes text safe inside a quoted label.
func label(s string) string {
	return strings.NewReplacer(`"`, "#quot;", "\n", " ").Replace(s)
}

// writeFlow writes the flowchart to dir, unless that is empty.
func (r *report) writeFlow(dir string) error {
	if dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, "flow.mmd"), []byte(r.flow()), 0o644)
}
