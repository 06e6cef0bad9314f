package wire

// Scratch returns how much a Reader keeps for the next message: headers, and bytes of text. held is
// false if nothing of the last message is left in it.
func (r *Reader) Scratch() (headers, text int, held bool) {
	for _, a := range r.attrs[:cap(r.attrs)] {
		held = held || a.Name != "" || a.Value != nil
	}
	return cap(r.attrs), cap(r.text), held || r.contentType != nil || r.trace.parent != nil
}
