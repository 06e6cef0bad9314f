package leatprometheus

import (
	"github.com/leatgo/leat"
)

// Publish returns middleware that counts and times publishes by topic and outcome.
func (m *Metrics) Publish() leat.PublishMiddleware { return m.core.Publish }

// Process returns middleware that times each attempt of a handler, by type of event and by outcome:
// the code or the Go type of an error, never its text. Put it first, so that it sees the handler's
// own outcome and that of the other middleware.
func (m *Metrics) Process() leat.Middleware { return m.core.Process(!m.o.NoEventAge) }
