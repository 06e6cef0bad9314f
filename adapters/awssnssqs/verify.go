package awssnssqs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/leatgo/leat"
)

// differences are what is not as a plan says. All of them are in one error.
type differences struct {
	verify bool // nothing is changed, and everything is compared
	found  []error
	code   leat.Code // of the worst
}

func (d *differences) note(code leat.Code, err error) {
	if len(d.found) == 0 || code == leat.CodeUnsupported || d.code == leat.CodeNotFound {
		d.code = code
	}
	d.found = append(d.found, err)
}

// addf notes what exists in another form.
func (d *differences) addf(format string, args ...any) {
	d.note(leat.CodeConflict, fmt.Errorf(format, args...))
}

// cannotf notes what cannot be held.
func (d *differences) cannotf(format string, args ...any) {
	d.note(leat.CodeUnsupported, fmt.Errorf(format, args...))
}

// missing notes what does not exist.
func (d *differences) missing(what, name string) {
	d.note(leat.CodeNotFound, errors.Unwrap(missing(what, name)))
}

func (d *differences) compare(what, is, want string) {
	if is != want {
		if is == "" {
			is = "not set"
		}
		d.addf("%s is %s and should be %s", what, masked(is), want)
	}
}

// err returns all differences, or nil.
func (d *differences) err() error {
	if len(d.found) == 0 {
		return nil
	}
	return &leat.Error{Code: d.code, Err: errors.Join(d.found...)}
}

// topic compares a topic with what Leat would create.
func (d *differences) topic(p *plan, is map[string]string, o *Options) {
	what := fmt.Sprintf("the SNS topic %q", p.topic)
	if fifo := is["FifoTopic"] == "true"; fifo != kindOf(p.topic) {
		d.addf("%s is of another kind than its name says", what)
	}
	if !d.verify || !p.ownTopic {
		return
	}
	want := o.topicAttributes()
	if size, err := strconv.Atoi(is["MaximumMessageSize"]); err == nil && size >= o.MaxMessageBytes {
		delete(want, "MaximumMessageSize")
	}
	d.attributes(what, is, want)
}

func (d *differences) attributes(what string, is, want map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		d.compare(name+" of "+what, is[name], want[name])
	}
}

// queue compares a queue with what Leat would create. An attribute that the server does not know is
// left out, but for the key.
func (d *differences) queue(p *plan, is map[string]string, o *Options) {
	what := fmt.Sprintf("the queue %q", p.queue)
	if fifo := is["FifoQueue"] == "true"; fifo != p.fifo {
		d.cannotf("%s is of another kind than its name says", what)
	}
	// SNS drops what is too large for a queue without telling the publisher. SQS refuses it.
	const largest = "MaximumMessageSize"
	if size, err := strconv.Atoi(is[largest]); err == nil && size < o.MaxMessageBytes && (d.verify || p.topic != "") {
		d.addf("%s of %s is %d and should be at least %d, as MaxMessageBytes (max_message_bytes) is", largest, what, size, o.MaxMessageBytes)
	}
	if !d.verify || !p.ownQueue {
		return
	}
	want := o.queueAttributes(p.fifo)
	maps.DeleteFunc(want, func(name, _ string) bool {
		_, known := is[name]
		return name == "VisibilityTimeout" || !known && name != "KmsMasterKeyId" // each receive says the first
	})
	delete(want, "FifoQueue")
	d.attributes(what, is, want)
}
