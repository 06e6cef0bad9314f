package leat

// setAside keeps an item that its handler does not want now, out of the way of its successors,
// until the engine stops: see internal/aside. The lock is held.
func (e *engine) setAside(it *item) {
	e.outageOver(it)
	it.attempts-- // the event is not to blame
	e.keepAside(it)
}

// keepAside is setAside for an item whose handler was not called. The lock is held.
func (e *engine) keepAside(it *item) {
	if e.mustGiveBack(it) {
		e.giveBackLane(it)
		return
	}
	e.stepAside(it)
	it.state, it.aside = itemParked, true
	e.park.aside++
	e.noteIdle()
}
