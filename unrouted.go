package leat

// maxUnrouted is how many types without a route are named in the log, so that a topic whose types never repeat fills neither memory nor the
// log.
const maxUnrouted = 100

// noteSkipped counts an event that no route wanted, and logs the first of its type. The lock is held.
func (e *engine) noteSkipped(it *item) {
	e.c.total.skipped++
	if len(e.unrouted) > maxUnrouted {
		return
	}
	kind := it.d.Event.Type()
	id := e.lanes.hash(kind) // the type itself would keep the event's attributes in memory
	if _, known := e.unrouted[id]; known {
		return
	}
	if e.unrouted == nil {
		e.unrouted = map[uint64]struct{}{}
	}
	e.unrouted[id] = struct{}{}
	log, sub := e.c.o.Logger, &e.c.sub
	if len(e.unrouted) > maxUnrouted {
		e.after = append(e.after, func() {
			log.Info("more types of events than are named here have no route; they are skipped", "topic", sub.Topic, "group", sub.Group,
				"named", maxUnrouted)
		})
		return
	}
	e.after = append(e.after, func() {
		log.Info("no route wants events of this type; they are skipped", "topic", sub.Topic, "group", sub.Group, "type", cut(kind))
	})
}
